import '../../support/on-sqlite.ts'
import '../doors.test.ts'
