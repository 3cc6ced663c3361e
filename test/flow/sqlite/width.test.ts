import '../../support/on-sqlite.ts'
import '../width.test.ts'
