import '../../support/on-naive.ts'
import '../ancestors.test.ts'
