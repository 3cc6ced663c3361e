import '../../support/on-naive.ts'
import '../handed-over.test.ts'
