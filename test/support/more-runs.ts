/** Imported before random tests by a proof: they make more runs than `npm test` has time for. */
process.env.INVARIANT_RUNS ??= '2000'
process.env.DIFFERENTIAL_RUNS ??= '40'
process.env.READY_RANGE_SEEDS ??= '40'
process.env.SIMULATED_SCHEDULES ??= '480'
