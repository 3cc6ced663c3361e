import '../../support/on-naive.ts'
import '../faults-payload.test.ts'
