import '../../support/on-naive.ts'
import '../ready.test.ts'
