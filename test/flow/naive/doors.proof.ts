import '../../support/on-naive.ts'
import '../doors.test.ts'
