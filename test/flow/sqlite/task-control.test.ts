import '../../support/on-sqlite.ts'
import '../task-control.test.ts'
