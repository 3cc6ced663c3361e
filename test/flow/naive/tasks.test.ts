import '../../support/on-naive.ts'
import '../tasks.test.ts'
