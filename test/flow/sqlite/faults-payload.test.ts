import '../../support/on-sqlite.ts'
import '../faults-payload.test.ts'
