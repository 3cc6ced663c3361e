import '../../support/on-naive.ts'
import '../look.test.ts'
