/** More of the simulated schedules than `npm test` has time for. */
import '../support/more-runs.ts'
import './simulation.test.ts'
