import '../../support/on-sqlite.ts'
import '../retry.test.ts'
