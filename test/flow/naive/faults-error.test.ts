import '../../support/on-naive.ts'
import '../faults-error.test.ts'
