import '../../support/on-naive.ts'
import '../task-control.test.ts'
