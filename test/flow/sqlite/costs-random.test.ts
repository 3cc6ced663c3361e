import '../../support/on-sqlite.ts'
import '../costs-random.test.ts'
