import '../../support/on-sqlite.ts'
import '../ready.test.ts'
