import '../../support/on-naive.ts'
import '../forms.test.ts'
