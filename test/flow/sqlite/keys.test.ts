import '../../support/on-sqlite.ts'
import '../keys.test.ts'
