import '../../support/on-naive.ts'
import '../holds.test.ts'
