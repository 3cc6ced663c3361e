import '../../support/on-sqlite.ts'
import '../event-order.test.ts'
