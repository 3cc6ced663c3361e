import '../../support/on-sqlite.ts'
import '../faults-volume.test.ts'
