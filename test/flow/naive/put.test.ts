import '../../support/on-naive.ts'
import '../put.test.ts'
