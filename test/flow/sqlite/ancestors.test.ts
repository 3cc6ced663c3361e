import '../../support/on-sqlite.ts'
import '../ancestors.test.ts'
