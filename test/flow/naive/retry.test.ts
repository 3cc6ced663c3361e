import '../../support/on-naive.ts'
import '../retry.test.ts'
