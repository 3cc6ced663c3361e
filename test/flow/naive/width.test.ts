import '../../support/on-naive.ts'
import '../width.test.ts'
