import '../../support/on-sqlite.ts'
import '../look.test.ts'
