import '../../support/on-sqlite.ts'
import '../events.test.ts'
