import '../../support/on-naive.ts'
import '../context.test.ts'
