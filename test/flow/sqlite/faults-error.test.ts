import '../../support/on-sqlite.ts'
import '../faults-error.test.ts'
