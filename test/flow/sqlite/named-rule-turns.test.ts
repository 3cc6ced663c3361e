import '../../support/on-sqlite.ts'
import '../named-rule-turns.test.ts'
