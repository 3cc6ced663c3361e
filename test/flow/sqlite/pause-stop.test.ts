import '../../support/on-sqlite.ts'
import '../pause-stop.test.ts'
