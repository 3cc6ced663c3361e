import '../../support/on-naive.ts'
import '../jitter.test.ts'
