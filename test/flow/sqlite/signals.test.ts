import '../../support/on-sqlite.ts'
import '../signals.test.ts'
