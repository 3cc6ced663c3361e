import '../../support/on-sqlite.ts'
import '../handed-over.test.ts'
