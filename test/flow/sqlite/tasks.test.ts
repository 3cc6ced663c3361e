import '../../support/on-sqlite.ts'
import '../tasks.test.ts'
