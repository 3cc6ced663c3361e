import '../../support/on-sqlite.ts'
import '../adaptive-key.test.ts'
