import '../../support/on-naive.ts'
import '../isolates-simulated.test.ts'
