import '../../support/on-naive.ts'
import '../without-handler.test.ts'
