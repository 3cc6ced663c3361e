import '../../support/on-naive.ts'
import '../isolates-handed-over.test.ts'
import '../isolates-simulated.test.ts'
