import '../../support/on-sqlite.ts'
import '../own-waits.test.ts'
