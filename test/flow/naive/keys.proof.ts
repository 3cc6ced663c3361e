import '../../support/on-naive.ts'
import '../keys.test.ts'
