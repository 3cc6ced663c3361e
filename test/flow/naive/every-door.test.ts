import '../../support/on-naive.ts'
import '../every-door.test.ts'
