import '../../support/on-sqlite.ts'
import '../faults-listener.test.ts'
