import '../../support/on-naive.ts'
import '../event-order.test.ts'
