import '../../support/on-naive.ts'
import '../costs.test.ts'
