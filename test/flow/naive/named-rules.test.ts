import '../../support/on-naive.ts'
import '../named-rules.test.ts'
