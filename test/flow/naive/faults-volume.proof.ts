import '../../support/on-naive.ts'
import '../faults-volume.test.ts'
