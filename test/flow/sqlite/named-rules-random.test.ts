import '../../support/on-sqlite.ts'
import '../named-rules-random.test.ts'
