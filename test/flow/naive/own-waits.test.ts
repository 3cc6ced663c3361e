import '../../support/on-naive.ts'
import '../own-waits.test.ts'
