import '../../support/on-naive.ts'
import '../events.test.ts'
