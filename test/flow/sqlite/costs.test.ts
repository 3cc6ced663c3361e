import '../../support/on-sqlite.ts'
import '../costs.test.ts'
