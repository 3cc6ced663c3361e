import '../../support/on-naive.ts'
import '../faults-handler.test.ts'
