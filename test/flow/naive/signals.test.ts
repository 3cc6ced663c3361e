import '../../support/on-naive.ts'
import '../signals.test.ts'
