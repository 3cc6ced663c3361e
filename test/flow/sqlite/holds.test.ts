import '../../support/on-sqlite.ts'
import '../holds.test.ts'
