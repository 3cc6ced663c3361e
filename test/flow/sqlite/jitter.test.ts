import '../../support/on-sqlite.ts'
import '../jitter.test.ts'
