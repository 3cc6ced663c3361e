import '../../support/on-naive.ts'
import '../adaptive-key.test.ts'
