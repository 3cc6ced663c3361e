import '../../support/on-sqlite.ts'
import '../without-handler.test.ts'
