import '../../support/on-sqlite.ts'
import '../reschedule.test.ts'
