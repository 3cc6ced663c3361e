import '../../support/on-naive.ts'
import '../pause-stop.test.ts'
