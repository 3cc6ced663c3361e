import '../../support/on-naive.ts'
import '../costs-random.test.ts'
