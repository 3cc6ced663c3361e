import '../../support/on-sqlite.ts'
import '../named-rules.test.ts'
