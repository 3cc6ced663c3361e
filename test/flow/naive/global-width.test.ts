import '../../support/on-naive.ts'
import '../global-width.test.ts'
