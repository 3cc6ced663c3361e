import '../../support/on-sqlite.ts'
import '../global-width.test.ts'
