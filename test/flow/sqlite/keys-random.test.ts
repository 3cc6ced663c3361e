import '../../support/on-sqlite.ts'
import '../keys-random.test.ts'
