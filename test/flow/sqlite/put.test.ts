import '../../support/on-sqlite.ts'
import '../put.test.ts'
