import '../../support/on-sqlite.ts'
import '../forms.test.ts'
