import '../../support/on-naive.ts'
import '../mass.test.ts'
