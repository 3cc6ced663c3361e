/** Random tests of journeys and of the table of ready jobs, with more runs than `npm test` has time for. */
import '../support/more-runs.ts'
import './invariants.test.ts'
import './differential.test.ts'
import '../persistence/sqlite/tables/ready-range.test.ts'
