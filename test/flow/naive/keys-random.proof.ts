import '../../support/on-naive.ts'
import '../keys-random.test.ts'
