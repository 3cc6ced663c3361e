import '../../support/on-sqlite.ts'
import '../faults-handler.test.ts'
