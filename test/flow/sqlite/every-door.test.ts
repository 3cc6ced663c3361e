import '../../support/on-sqlite.ts'
import '../every-door.test.ts'
