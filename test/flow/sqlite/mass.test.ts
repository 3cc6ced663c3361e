import '../../support/on-sqlite.ts'
import '../mass.test.ts'
