import '../../support/on-naive.ts'
import '../faults-listener.test.ts'
