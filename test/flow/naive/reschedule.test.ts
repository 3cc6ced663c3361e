import '../../support/on-naive.ts'
import '../reschedule.test.ts'
