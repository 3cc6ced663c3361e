import '../../support/on-sqlite.ts'
import '../isolates.test.ts'
