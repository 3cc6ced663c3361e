import '../../support/on-sqlite.ts'
import '../context.test.ts'
