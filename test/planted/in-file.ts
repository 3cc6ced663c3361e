/** Bugs planted in the backlog of the file: fences, recovery, transactions, answers, and the tables of the file. */
import type { Plant } from './plant.ts'

export const inFile: readonly Plant[] = [
  {
    name: 'the other queue objects of a name are not notified that an exchange has taken jobs out',
    file: 'persistence/durable/session.ts',
    edits: [
      {
        find: 'settles || done.counts.pending + done.counts.delayed < waited)',
        replace: 'settles && waited >= 0)',
      },
    ],
    why: 'a put of a queue without a handler waits for space that is free',
    finders: ['flow/sqlite/without-handler'],
  },
  {
    name: 'a cost in an unknown unit is free on a file',
    file: 'persistence/durable/execute/requests.ts',
    edits: [
      {
        find: 'refuseCost(cost, limits.rate(queue), furtherRules(limits, queue, key), queue.keys?.rate)',
        replace: '',
      },
    ],
    why: 'a misspelt unit is counted by no rule, and the limit of the service is exceeded',
    finders: ['flow/sqlite/doors'],
  },
  {
    name: 'a grace is as short for those who never meet it',
    file: 'lib/decisions/grace.ts',
    edits: [{ find: '? factor * 2 : factor', replace: '? factor * 1 : factor' }],
    why: 'I6: with a short window or a slow disk every job comes back too late, and none ever starts',
    finders: [
      'lib/decisions/grace',
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/rate-starts',
      'flow/sqlite',
    ],
  },
  {
    name: 'a reply that waits for its turn of the loop is dropped with its connection',
    file: 'persistence/durable/link.ts',
    edits: [{ find: '!answered.has(id))', replace: '!answered.has(-id))' }],
    why: 'a cancel or a clear whose outcome is known rejects with OutcomeUnknownError',
    finders: ['persistence/durable/link'],
  },
  {
    name: 'a queue that leaves drops the cancels of its jobs',
    file: 'persistence/durable/execute/recovery.ts',
    edits: [
      {
        find: 'if (!cancel) return returnJob(store, queue, job, now)',
        replace: 'if (!cancel || now >= 0) return returnJob(store, queue, job, now)',
      },
    ],
    why: 'cancel() has resolved with true, and the job runs all the same',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/naive/store-contract'],
  },
  {
    name: 'suspects of a file start by crashes and put, without their priority',
    file: 'persistence/sqlite/store/suspect-claims.ts',
    edits: [{ find: 'order by r.crashes, r.priority, r.seq', replace: 'order by r.crashes, r.seq' }],
    why: 'an urgent suspect waits behind others with as many crashes',
    finders: ['persistence/sqlite/store/suspects'],
  },
  {
    name: 'a suspect does not check its key again behind the jobs of its claim',
    file: 'persistence/durable/execute/claim.ts',
    edits: [
      {
        find: 'if (!obstacle) return claim.take(suspect, alone)\n',
        replace: "if (obstacle?.kind !== 'queueWaits') return claim.take(suspect, alone)\n",
      },
    ],
    why: 'more jobs of a key run than its width allows',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'an exchange settles before it confirms launches',
    file: 'persistence/durable/execute/exchange.ts',
    edits: [
      { find: '  correctRate(store.limits, queue, request)\n', replace: '' },
      {
        find: '  store.endedBodies(request.endedBodies)\n',
        replace: '  store.endedBodies(request.endedBodies)\n  correctRate(store.limits, queue, request)\n',
      },
    ],
    why: 'B12: the start of a job that went back is charged again, and the rate is not used up',
    finders: ['persistence/sqlite/backlog'],
  },
  {
    name: 'a settle by any fence',
    file: 'persistence/sqlite/store/settle.ts',
    edits: [
      {
        find: `
      delete from rdq_underway where worker = ? and queue = ? and seq = ? and fence = ?
      returning`,
        replace: `
      delete from rdq_underway where worker = ? and queue = ? and seq = ? and ? is not null
      returning`,
      },
    ],
    why: 'I12: a run that lost its job ends it for the run that has it now',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/store'],
  },
  {
    name: 'a claim does not raise the fence',
    file: 'persistence/sqlite/store/admission.ts',
    edits: [{ find: 'attempt: attempt + 1, fence: fence + 1', replace: 'attempt: attempt + 1, fence' }],
    why: 'I12: two runs of one job cannot be distinguished',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/backlog',
    ],
  },
  {
    name: 'a checkpoint by any fence',
    file: 'persistence/sqlite/store/settle.ts',
    edits: [
      {
        find: 'hasLastRun} where worker = ? and queue = ? and seq = ? and fence = ?`',
        replace: 'hasLastRun} where worker = ? and queue = ? and seq = ? and ? is not null`',
      },
    ],
    why: 'I18: a run that lost its job takes the progress of its successor back',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/store'],
  },
  {
    name: 'finishWithin by any fence',
    file: 'persistence/sqlite/store/within.ts',
    edits: [
      { find: 'and queue = ? and seq = ? and fence = ?', replace: 'and queue = ? and seq = ? and ? is not null' },
    ],
    why: 'I12: a late run commits its own effects beside those of its successor',
    finders: ['persistence/sqlite/store/within'],
  },
  {
    name: 'a job that a verdict ended awaits one for ever',
    file: 'persistence/sqlite/store/settle.ts',
    edits: [{ find: 'flags: flags & ~awaitingVerdict, grant', replace: 'flags, grant' }],
    why: 'I13: put anew it counts as a job without a body, so a crash of it is not counted, and a lost reply omits it',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a job in doubt keeps its fence',
    file: 'persistence/sqlite/store/recovery.ts',
    edits: [{ find: 'isOwned ? fence + 1 : fence', replace: 'fence' }],
    why: 'I12: recovered by two, both answers of `afterCrash` count',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/worker'],
  },
  {
    name: 'crashes are not counted',
    file: 'lib/decisions/crash-outcome.ts',
    edits: [{ find: '? job.crashes + 1 : job.crashes', replace: '? job.crashes : job.crashes' }],
    why: 'I17: a job that kills its process does so for ever',
    finders: [
      'lib/decisions/crash-outcome',
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/worker',
      'crash/recovery',
    ],
  },
  {
    name: 'a crash counts against whatever was claimed',
    file: 'lib/decisions/crash-outcome.ts',
    edits: [
      { find: 'const crashes = launchReported && !awaitingVerdict ?', replace: 'const crashes = !awaitingVerdict ?' },
    ],
    why: 'I23: a process that dies before it has called a handler condemns what it had claimed',
    finders: [
      'lib/decisions/crash-outcome',
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/suspects',
    ],
  },
  {
    name: 'a job is condemned beside others',
    file: 'lib/decisions/crash-outcome.ts',
    edits: [{ find: '(alone || crashLimit === 1) && crashes', replace: '(alone || crashLimit > 0) && crashes' }],
    why: 'I23: an innocent job fails for the crash of its neighbour',
    finders: [
      'lib/decisions/crash-outcome',
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/suspects',
    ],
  },
  {
    name: 'two suspects run at a time',
    file: 'persistence/durable/execute/suspect-line.ts',
    edits: [
      { find: 'const withFirst = first !== undefined && !running', replace: 'const withFirst = first !== undefined' },
    ],
    why: 'I23: one that kills its process takes along all that were beside it before',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/suspects'],
  },
  {
    name: 'others run beside one that is to run alone',
    file: 'persistence/durable/execute/claim.ts',
    edits: [{ find: 'if (running?.alone) {', replace: 'if (running?.alone && isEmpty) {' }],
    why: 'I23: they count a crash that was not theirs',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/suspects'],
  },
  {
    name: 'a busy worker never drains',
    file: 'persistence/durable/execute/suspect-line.ts',
    edits: [
      { find: 'if (now - aloneSince >= suspectPatienceMs) return true', replace: 'if (aloneSince > now) return true' },
    ],
    why: 'a suspect waits for ever beside an endless stream of other jobs',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/suspects'],
  },
  {
    name: 'a crash uses an attempt',
    file: 'persistence/durable/execute/recovery.ts',
    edits: [{ find: "attemptAfter('interrupted', job.attempt)", replace: "attemptAfter('failed', job.attempt)" }],
    why: 'I9: a job whose process died is attempted less often than was promised',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/worker', 'crash/points'],
  },
  {
    name: 'a dead process is recovered in memory of the wrong worker',
    file: 'persistence/sqlite/store/recovery.ts',
    edits: [
      {
        find: 'this.#drop.run(from, queueId, seq)',
        replace: 'if (from === noWorker) this.#drop.run(from, queueId, seq)',
      },
    ],
    why: 'I13: a recovered job waits and is underway at once',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/worker', 'simulation/store'],
  },
  {
    name: 'a stopped process has lost its jobs',
    file: 'persistence/sqlite/thread/loop.ts',
    edits: [
      {
        find: 'const passedMs = Math.min(now - this.#tickedAt, maxStepMs)',
        replace: 'const passedMs = Math.max(now - this.#tickedAt, maxStepMs / 1_000)',
      },
    ],
    why: 'I13: a laptop that slept gives up what it holds, though nobody else could have taken it',
    finders: ['persistence/sqlite/thread/loop'],
  },
  {
    name: 'commits of other processes are not noticed',
    file: 'persistence/sqlite/thread/loop.ts',
    edits: [
      {
        find: 'if (this.#unreportedRecovery || (changed && this.#seenVersion !== undefined)) {',
        replace: 'if (this.#unreportedRecovery || (changed && this.#seenVersion === null)) {',
      },
    ],
    why: 'I6: a job that another process has put is seen by chance alone',
    finders: ['persistence/sqlite/thread/loop', 'crash/shared'],
  },
  {
    name: 'a refused put is stored all the same',
    file: 'persistence/durable/execute/requests.ts',
    edits: [
      {
        find: `
  refuseOverfull(ids.length - existed.size, size, pending + delayed)
  const first = store.addJobs(queue, request, existed)`,
        replace: `
  const first = store.addJobs(queue, request, existed)
  refuseOverfull(ids.length - existed.size, size, pending + delayed)`,
      },
    ],
    why: 'putMany is all or nothing: jobs run whose put has rejected',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/backlog',
    ],
  },
  {
    name: 'the ids of ended jobs are not remembered in the file',
    file: 'persistence/sqlite/tables/location.ts',
    edits: [
      {
        find: 'if ((flags & givenId) !== 0 && idsMs > 0) this',
        replace: 'if ((flags & givenId) < 0 && idsMs > 0) this',
      },
    ],
    why: 'I19: a put that is repeated after a restart runs again',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/backlog',
    ],
  },
  {
    name: 'a backoff is none',
    file: 'lib/decisions/transitions.ts',
    edits: [{ find: 'keepsError: true, delays: true }', replace: 'keepsError: true, delays: false }' }],
    why: 'I14: what failed is claimed again at once',
    finders: [
      'lib/decisions/transitions',
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/backlog',
    ],
  },
  {
    name: 'the delays of a file begin anew with a reboot',
    file: 'persistence/sqlite/file/clock.ts',
    edits: [
      {
        find: 'if (last) this.#aheadMs = Math.floor(last[0] + Math.max(0, wall - last[1]) - now)',
        replace: 'if (last) this.#aheadMs = Math.floor(Math.max(0, wall - last[1]))',
      },
    ],
    why: 'I14, I5: after a reboot delays and starts stand where the clock has never been',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/rate-starts',
      'persistence/sqlite/store/change',
    ],
  },
  {
    name: 'a delayed job comes due with the priority it was put with',
    file: 'persistence/sqlite/store/commands.ts',
    edits: [
      {
        find: `if (found.state === 'delayed') this.#setDelayedPriority.run(priority, found.seq)`,
        replace: `if (found.state === 'delayed') this.#setDelayedPriority.run(found.priority, found.seq)`,
      },
    ],
    why: 'I8: reprioritize was answered and has no effect',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/change', 'flow/differential'],
  },
  {
    name: 'clear leaves the counter of the delayed in the file',
    file: 'persistence/sqlite/store/upkeep.ts',
    edits: [{ find: `queue.countMove('delayed', 'cancelled', counts.delayed)\n`, replace: '\n' }],
    why: 'I15: the queue is never idle again',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/change', 'flow/differential'],
  },
  {
    name: 'a job that is rescheduled keeps its delay in the file',
    file: 'persistence/sqlite/store/commands.ts',
    edits: [
      {
        find: 'locations.wait(queue, carried, now, due)',
        replace: 'locations.wait(queue, carried, now, due && { ...due, at: found.due ?? due.at })',
      },
    ],
    why: 'reschedule was answered, and the job starts when it would have started before',
    finders: ['persistence/sqlite/backlog', 'flow/sqlite/reschedule', 'flow/differential'],
  },
  {
    name: 'a job that is promoted is counted as delayed in the file',
    file: 'persistence/sqlite/store/commands.ts',
    edits: [
      {
        find: `    locations.leave(queue, found, body.key)
    queue.countMove(found.state, undefined, 1)
    locations.wait(queue, carried, now, due)`,
        replace: `    locations.leave(queue, found, body.key)
    locations.wait(queue, carried, now, due)`,
      },
    ],
    why: 'I15: the queue is never idle again',
    finders: ['persistence/sqlite/backlog', 'flow/sqlite/reschedule'],
  },
  {
    name: 'a remove leaves the id of what is gone in the file',
    file: 'persistence/sqlite/store/commands.ts',
    edits: [{ find: 'this.#freeId.get(queue.queueId, id, now)', replace: "this.#freeId.get(queue.queueId, '', now)" }],
    why: 'whoever removed a job and puts its id again gets the old one back',
    finders: ['persistence/sqlite/backlog', 'flow/sqlite/reschedule'],
  },
  {
    name: 'a thread whose file is missing is started again',
    file: 'persistence/sqlite/thread/thread-connection.ts',
    edits: [{ find: 'if (isMissingFile(cause)) return', replace: 'if (isMissingFile({})) return' }],
    why: 'the error for a bundled application advises to restart the process, which changes nothing',
    finders: ['persistence/sqlite/thread/thread-host'],
  },
  {
    name: 'an exchange that was done is done again',
    file: 'persistence/durable/execute/exchange.ts',
    edits: [{ find: 'if (number <= store.lastExchange(queue)) {', replace: 'if (number < 0) {' }],
    why: 'I3: where an answer was lost, what it claimed runs nowhere',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/thread/entry',
    ],
  },
  {
    name: 'a job is put anew beside its own body in another process',
    file: 'persistence/durable/execute/command.ts',
    edits: [{ find: 'if (store.isBodyRunning(job.seq)) return', replace: 'if (store.isBodyRunning(-job.seq)) return' }],
    why: 'I11: of a cancelled job that is put anew two bodies run at a time',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/change', 'flow/beside'],
  },
  {
    name: 'a queue that only looks takes the news of the one that works',
    file: 'persistence/durable/execute/exchange.ts',
    edits: [
      { find: 'works ? store.cancelsToReport(queue) : []', replace: 'number > 0 ? store.cancelsToReport(queue) : []' },
    ],
    why: 'a cancel never reaches its run, and afterCrash is not called',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/store/change'],
  },
  {
    name: 'a cancel is forgotten when its run has been notified',
    file: 'persistence/sqlite/tables/cancel-requests.ts',
    edits: [{ find: '(runs === 1 ? this.#markReported', replace: '(runs === 2 ? this.#markReported' }],
    why: 'a run that was about to go back goes on, although its cancel was answered',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/change',
      'persistence/sqlite/tables/worker',
    ],
  },
  {
    name: 'a restarted thread gets new requests before the old ones',
    file: 'persistence/durable/link.ts',
    edits: [
      { find: `this.#state.kind !== 'open' || (pending`, replace: `this.#state.kind === 'disconnected' || (pending` },
    ],
    why: 'I3: an exchange that is done after a later one is never done, although its endings were announced',
    finders: ['persistence/durable/link'],
  },
  {
    name: 'the last notices of a queue stay in the file, though they have arrived',
    file: 'persistence/sqlite/tables/exchange-replies.ts',
    edits: [
      {
        find: 'if (last === undefined || last > acknowledged) return',
        replace: 'if (last !== acknowledged + 0.5) return',
      },
    ],
    why: 'what is over does not leave the file',
    finders: ['persistence/sqlite/tables/exchange-replies'],
  },
  {
    name: 'a repeated exchange reports only what it claimed',
    file: 'persistence/sqlite/tables/exchange-replies.ts',
    edits: [{ find: 'queue.queueId, number) as string', replace: 'queue.queueId, -number) as string' }],
    why: 'I1, I3: with a lost reply are lost the notice of a cancel, and the notice that an ending changed nothing',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/exchange-replies'],
  },
  {
    name: 'a put of unknown outcome is sent again',
    file: 'persistence/durable/unanswered.ts',
    edits: [{ find: "    return 'unknown'\n", replace: '    return undefined\n' }],
    why: 'I2: a job that another process has taken out meanwhile is there a second time',
    finders: ['persistence/durable/unanswered'],
  },
  {
    name: 'an exchange whose reply was lost is sent again before the put behind it is answered',
    file: 'persistence/durable/unanswered.ts',
    edits: [
      {
        find: "    this.#line = line\n    const puts = line.filter(({ request }) => request.kind === 'put')\n",
        replace: `    const puts = line.filter(({ request }) => request.kind === 'put')
    for (const one of puts[0] ? line.splice(0, line.indexOf(puts[0])) : []) host.resend(one)
    this.#line = line\n`,
      },
    ],
    why: 'I16: the exchange claims the job of the put as another record, and the run() of the put never settles',
    finders: ['persistence/durable/unanswered', 'persistence/durable/link', 'simulation/regressions'],
  },
  {
    name: 'the reply to a put is not kept with its jobs',
    file: 'persistence/sqlite/store/store.ts',
    edits: [
      {
        find: '        this.#putReplies.keep(request, reply, fileClock.toFile(request.now))\n',
        replace: '',
      },
    ],
    why: 'I2, I10: after the death of its thread a put is stored twice, or its job is reported as one that existed before',
    finders: ['persistence/sqlite/store/store-contract', 'simulation/regressions'],
  },
  {
    name: 'a recovery deletes the replies to puts of a process that may still reopen its file',
    file: 'persistence/sqlite/tables/put-replies.ts',
    edits: [{ find: 'where put_at < ? and', replace: 'where ? is not null and' }],
    why: 'I2: another process sees that the thread has died before a new one is started, and the put is stored twice',
    finders: ['persistence/sqlite/tables/put-replies'],
  },
  {
    name: 'a put acknowledges puts that are not answered',
    file: 'persistence/durable/put-numbers.ts',
    edits: [{ find: 'return oldest - 1', replace: 'return oldest' }],
    why: 'I2: the reply to the oldest put is deleted before it has arrived, and the put is stored twice',
    finders: ['persistence/durable/put-numbers'],
  },
  {
    name: 'the signal of a put whose outcome is not known is forgotten',
    file: 'persistence/durable/session.ts',
    edits: [{ find: "=== 'OUTCOME_UNKNOWN') this.#link.signals", replace: "=== 'NONE') this.#link.signals" }],
    why: 'I10: the job was stored after all, and begins though its signal has aborted',
    finders: ['simulation/regressions'],
  },
  {
    name: 'the signals of puts are gone with the thread that died twice',
    file: 'persistence/durable/put-signals.ts',
    edits: [
      {
        find: 'let files = ofProcesses.get(process)',
        replace: 'let files = undefined as Map<string, PutSignals> | undefined',
      },
    ],
    why: 'I10: the next queue of the process on the file begins a job whose signal has aborted',
    finders: ['simulation/regressions'],
  },
  {
    name: 'the signal of a put whose outcome is not known concerns its job for ever',
    file: 'persistence/durable/put-signals.ts',
    edits: [{ find: '    this.#doubtful.delete(key)\n', replace: '' }],
    why: 'a job that its signal has cancelled never runs again, whoever retries it',
    finders: ['persistence/durable/put-signals'],
  },
  {
    name: 'a restart forgets the rate',
    file: 'persistence/sqlite/tables/rate-starts.ts',
    edits: [
      {
        find: 'rate = Rate.from({ rules: owner.rateRules, ...marks, starts })',
        replace: 'rate = Rate.from({ rules: owner.rateRules, ...marks, starts: starts.slice(0, 0) })',
      },
    ],
    why: 'I5: whoever opens the file anew starts a whole window at once, and processes do not share the limit',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/rate-starts', 'crash/rate'],
  },
  {
    name: 'what is not launched from the file is not refunded',
    file: 'persistence/durable/execute/settle.ts',
    edits: [{ find: 'returnStarts(limits, queue, grant ?? job.grant, now)', replace: 'limits.rateToChange(queue)' }],
    why: 'I6: what was handed back has spent a start of the rate',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/rate-starts',
      'persistence/sqlite/backlog',
    ],
  },
  {
    name: 'a rollback leaves what is held in memory',
    file: 'persistence/sqlite/store/store.ts',
    edits: [
      {
        find: '      this.#queues.forget()\n      this.#rateStarts.forget()\n      this.#keys.clear()\n      this.#rules?.clear()\n      this.#retention.forget()\n      this.#fileClock.forget()\n',
        replace: '',
      },
    ],
    why: 'I15: after an error of the disk the counters say what never was stored',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/thread/loop',
    ],
  },
  {
    name: 'durability is not as requested',
    file: 'persistence/sqlite/file/open.ts',
    edits: [{ find: `const level = durability === 'power' ? 2 : 1`, replace: `const level = 1` }],
    why: 'I1: what was acknowledged is lost when the power fails',
    finders: ['crash/faults'],
  },
  {
    name: 'an exchange is answered before the puts of its transaction',
    file: 'persistence/durable/link.ts',
    edits: [
      {
        find: "const waits = this.#lastReply === (kind === 'exchange' ? 'other' : 'exchange')",
        replace: "const waits = kind !== 'exchange' && this.#lastReply === 'exchange'",
      },
    ],
    why: 'I11: `underway` is emitted before `pending`',
    finders: ['persistence/durable/link'],
  },
  {
    name: 'a clock that may be wrong is taken for exact',
    file: 'persistence/durable/clock-mapping.ts',
    edits: [{ find: 'this.#mapping.toStore(at) + errorMs', replace: 'this.#mapping.toStore(at)' }],
    why: 'I5: hosts whose clocks differ start more than a shared rate allows',
    finders: ['persistence/durable/clock-mapping'],
  },
  {
    name: 'the grace of a grant forgets that clocks may be wrong',
    file: 'lib/decisions/grace.ts',
    edits: [{ find: 'maxLongerMs) + 2 * errorMs', replace: 'maxLongerMs) + 0 * errorMs' }],
    why: 'I6: on a host whose clock may be wrong every claimed job comes too late, and none ever starts',
    finders: ['lib/decisions/grace', 'persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a request to a busy store is forgotten',
    file: 'persistence/durable/local-connection.ts',
    edits: [{ find: 'this.#requests.unshift(...left)', replace: 'if (!left) return' }],
    why: 'I2: a put is never answered, and an exchange never done',
    finders: ['persistence/durable/local-connection'],
  },
  {
    name: 'a job that another process has put again keeps the error of its former attempt',
    file: 'persistence/durable/claimed.ts',
    edits: [{ find: '{ error: undefined, dueAt', replace: '{ dueAt' }],
    why: 'B9: job.error shows what a former attempt threw while a new one runs',
    finders: ['persistence/naive/shared-contract'],
  },
  {
    name: 'a claimed job that has a key comes without it',
    file: 'persistence/durable/claimed.ts',
    edits: [{ find: 'if (key !== undefined) record.ensureExtras().key = key', replace: 'void key' }],
    why: 'B9: task.key is undefined in a process that did not put the job',
    finders: ['persistence/naive/shared-contract'],
  },
  {
    name: 'no session is notified of changes to a store in this process',
    file: 'persistence/durable/local-connection.ts',
    edits: [
      {
        find: "if (this.#state.kind === 'open' && this.#state.store === store) this.#events.changed()",
        replace: "if (this.#state.kind === 'over') this.#events.changed()",
      },
    ],
    why: 'a queue does not start what another process has put',
    finders: ['persistence/naive/shared-contract', 'persistence/durable/local-connection'],
  },
  {
    name: 'a process that gave up its claims is not notified',
    file: 'persistence/durable/local-connection.ts',
    edits: [{ find: 'this.#events.stalled()', replace: 'if (this.#inTrouble) this.#events.stalled()' }],
    why: 'I23: its runs go on as if their jobs were theirs, and `stalled` is not emitted',
    finders: ['persistence/naive/shared-contract', 'persistence/durable/local-connection'],
  },
  {
    name: 'puts without bound are on their way',
    file: 'persistence/durable/link.ts',
    edits: [
      {
        find: 'this.#jobs === 0 || (this.#jobs + jobs <= maxUnansweredJobs && this.#bytes + bytes <= maxUnansweredBytes)',
        replace: 'this.#jobs === 0 || this.#bytes + bytes <= maxUnansweredBytes * maxUnansweredJobs || jobs < 0',
      },
    ],
    why: 'I20: what is put faster than the disk stores it fills the memory',
    finders: ['persistence/sqlite/thread/thread-connection'],
  },
  {
    name: 'keep.most is not heeded in the file',
    file: 'persistence/sqlite/store/retention.ts',
    edits: [{ find: 'most === Infinity ? undefined', replace: 'most >= 0 ? undefined' }],
    why: 'I20: ended jobs and ids grow in the file beyond the bound that was set',
    finders: ['persistence/sqlite/backlog'],
  },
  {
    name: 'what is too much in the file is looked for once',
    file: 'persistence/sqlite/store/retention.ts',
    edits: [
      { find: 'added > search.added + most * searchShare', replace: 'added < search.added - most * searchShare' },
    ],
    why: 'I20: what ends later grows beyond the bound',
    finders: ['persistence/sqlite/backlog'],
  },
  {
    name: 'ended jobs are never forgotten in the file',
    file: 'persistence/sqlite/store/retention.ts',
    edits: [{ find: '      this.#leaveEnded.run(seq)\n', replace: '' }],
    why: 'I20: the table of ended jobs grows for ever',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/store/store',
      'persistence/sqlite/store/change',
    ],
  },
  {
    name: 'an exchange overtakes one that the disk refused',
    file: 'persistence/sqlite/thread/loop.ts',
    edits: [
      {
        find: `this.#refusedExchanges.push(numbered)
    return true`,
        replace: 'return false',
      },
    ],
    why: 'I1: a report of the exchange before counts as delivered, and is never stored',
    finders: ['persistence/sqlite/thread/loop'],
  },
  {
    name: 'a result that is first read late waits for the next change',
    file: 'persistence/durable/session.ts',
    edits: [
      {
        find: `    this.#remoteEndings.waitFor(followed)
`,
        replace: '',
      },
    ],
    why: 'I16: a result of a job that has ended elsewhere never comes',
    finders: ['flow/elsewhere'],
  },
  {
    name: 'where jobs of made ids are is forgotten with the first of them',
    file: 'persistence/sqlite/tables/generated-ids.ts',
    edits: [{ find: 'this.#isThere.get(seq, seq + jobs)', replace: 'this.#isThere.get(seq, seq + 1)' }],
    why: 'I1: a waiting job cannot be found by its id',
    finders: ['persistence/sqlite/tables/generated-ids'],
  },
  {
    name: 'rows of generated ids are checked from the first of all anew in each exchange',
    file: 'persistence/sqlite/tables/generated-ids.ts',
    edits: [{ find: 'cursor.processTag = processTag', replace: '' }],
    why: 'rows without jobs stay in the file as long as a hundred rows of waiting jobs stand before them',
    finders: ['persistence/sqlite/tables/generated-ids'],
  },
  {
    name: 'a name is made by who looks at it',
    file: 'persistence/durable/execute/requests.ts',
    edits: [{ find: 'if (!known && onlyIfExists) return', replace: 'if (!known && name === undefined) return' }],
    why: 'a misspelt name stays in the file for good',
    finders: ['flow/sqlite-looking'],
  },
  {
    name: 'a name that somebody made is not seen by who looked before',
    file: 'persistence/durable/lazy-session.ts',
    edits: [{ find: 'then(made => (made ? request() : none()))', replace: 'then(none)' }],
    why: 'a web process that started first finds none of the jobs of its workers',
    finders: ['persistence/durable/lazy-session'],
  },
  {
    name: 'a job that runs elsewhere seems to be live',
    file: 'persistence/durable/remote-endings.ts',
    edits: [
      {
        find: '(this.#options.works && record.seq > this.#changedAt)',
        replace: 'this.#options.works || record.seq > this.#changedAt',
      },
    ],
    why: 'the state of a handle seems current, while another process runs the job',
    finders: ['flow/sqlite-looking'],
  },
  {
    name: 'of two queues of one name the one whose file is found first lives',
    file: 'persistence/durable/attach-order.ts',
    edits: [{ find: 'before?.catch(() => {})', replace: 'undefined' }],
    why: 'a queue that works is refused, and the one made after it lives',
    finders: ['persistence/sqlite/thread/thread-connection'],
  },
  {
    name: 'what a dead worker did not acknowledge is nobody’s',
    file: 'persistence/sqlite/store/recovery.ts',
    edits: [{ find: 'this.#parts.reports.freeAll(this.#parts.queues, worker)', replace: '' }],
    why: 'no process emits an ending by a crash when the worker that was about to emit it dies too',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/crash-reports',
      'crash/crash-reports',
    ],
  },
  {
    name: 'events of a crash belong to the process that noticed it',
    file: 'persistence/sqlite/store/recovery.ts',
    edits: [
      { find: 'reports.add(queue, seq, ended, from === worker)', replace: 'reports.add(queue, seq, ended, true)' },
    ],
    why: 'a web process notices the death, and no worker is notified what became of the jobs',
    finders: [
      'persistence/sqlite/store/store-contract',
      'persistence/sqlite/tables/crash-reports',
      'crash/crash-reports',
    ],
  },
  {
    name: 'events of a crash are never acknowledged',
    file: 'persistence/sqlite/store/store.ts',
    edits: [{ find: 'reports.acknowledge(queue, exchange)', replace: '' }],
    why: 'each worker that follows a crashed one emits all that was emitted before',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/crash-reports'],
  },
  {
    name: 'jobs are claimed before crashes are reported',
    file: 'persistence/durable/execute/exchange.ts',
    edits: [{ find: 'crashReports.fillsReply ? 0 : request.room', replace: 'request.room' }],
    why: 'a job starts again before its recovered event',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/crash-reports'],
  },
  {
    name: 'one that leaves a stretch takes the next along',
    file: 'persistence/sqlite/tables/ready-range.ts',
    edits: [
      {
        find: 'if (after > 0) this.#add.run(epoch, seq + 1, after)',
        replace: 'if (after > 1) this.#add.run(epoch, seq + 2, after - 1)',
      },
    ],
    why: 'I1: a job behind one that was cancelled never runs',
    finders: ['persistence/sqlite/tables/ready-range'],
  },
  {
    name: 'a ready range is claimed before what is more important',
    file: 'persistence/sqlite/store/claim.ts',
    edits: [
      {
        find: 'if (this.#isBefore.get(epoch, first.seq)) return false',
        replace: 'if (this.#isBefore.get(-epoch, first.seq)) return false',
      },
    ],
    why: 'I7: jobs do not start in the order of their priorities',
    finders: ['persistence/sqlite/tables/ready-range', 'persistence/sqlite/store/claim'],
  },
  {
    name: 'a worker without a lock file is dead at once',
    file: 'persistence/sqlite/file/lock.ts',
    edits: [{ find: 'return missedMs >= missingMs', replace: 'return missedMs >= 0' }],
    why: 'I13: a cleaner of /tmp lets two processes run the same jobs at the same time',
    finders: ['persistence/sqlite/file/lock', 'crash/lock-file'],
  },
  {
    name: 'the lock of a file that was removed is not tested',
    file: 'persistence/sqlite/file/lock.ts',
    edits: [{ find: 'if (watched && file === undefined) {', replace: 'if (watched && file === 0n) {' }],
    why: 'I13: a stopped process whose lock file was removed loses its jobs to those that saw it live',
    finders: ['persistence/sqlite/file/lock', 'crash/lock-file'],
  },
  {
    name: 'a free lock of a file that was removed proves that its worker is dead',
    file: 'persistence/sqlite/file/lock.ts',
    edits: [{ find: 'return this.#takeLock(watched.db) && isMissed', replace: 'return this.#takeLock(watched.db)' }],
    why: 'I23: a worker whose thread was restarted loses its jobs, and they are blamed, because a cleaner removed its files',
    finders: ['persistence/sqlite/file/lock'],
  },
  {
    name: 'the lock on a file that lost its name is let go',
    file: 'persistence/sqlite/file/lock.ts',
    edits: [
      {
        find: '    this.#file = file\n    return true',
        replace: '    this.#file = file\n    this.#locks.shift()?.close()\n    return true',
      },
    ],
    why: 'I13: whoever has the old file open takes a living worker for dead, before it looks at the new one',
    finders: ['persistence/sqlite/file/lock', 'crash/lock-file'],
  },
  {
    name: 'a lock file that was removed stays removed',
    file: 'persistence/sqlite/file/file-guard.ts',
    edits: [{ find: 'lock.renew(wall())', replace: 'lock && wall()' }],
    why: 'I13: whoever opens the file later takes a living worker for dead',
    finders: ['crash/lock-file'],
  },
  {
    name: 'everybody may lock a lock file',
    file: 'persistence/sqlite/file/lock.ts',
    edits: [{ find: 'const mode = 0o600', replace: 'const mode = 0o644' }],
    why: 'I13: another user holds a shared lock, and a dead worker seems alive for ever',
    finders: ['persistence/sqlite/file/lock'],
  },
  {
    name: 'a worker that was taken for dead by mistake stays unregistered',
    file: 'persistence/sqlite/store/store.ts',
    edits: [{ find: 'this.#workers.stay(this.#worker, this.#token)', replace: 'this.#workers.number(this.#token)' }],
    why: 'I17: what it claims from then on is underway for ever once it dies',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/worker', 'crash/lock-file'],
  },
  {
    name: 'a copy takes the workers of the original for its own',
    file: 'persistence/sqlite/tables/worker.ts',
    edits: [
      {
        find: 'return { worker, workersOfOriginal: this.others(worker) }',
        replace: 'return { worker, workersOfOriginal: [] }',
      },
    ],
    why: 'what was underway in a backup runs 10 s late',
    finders: ['persistence/sqlite/store/store-contract', 'persistence/sqlite/tables/worker'],
  },
  {
    name: 'a file that is gone is written on',
    file: 'persistence/sqlite/file/file-guard.ts',
    edits: [{ find: 'if (found !== file) return', replace: "if (found === '') return" }],
    why: 'I2: puts are answered that nobody will ever read',
    finders: ['persistence/sqlite/file/gone'],
  },
  {
    name: 'the path of a file is checked once in five seconds',
    file: 'persistence/sqlite/file/file-guard.ts',
    edits: [{ find: 'const checkIntervalMs = 450', replace: 'const checkIntervalMs = 4_500' }],
    why: 'I2: puts are answered for seconds that nobody will ever read',
    finders: ['persistence/sqlite/thread/loop'],
  },
  {
    name: 'a thread that is busy does not check its file',
    file: 'persistence/sqlite/thread/loop.ts',
    edits: [{ find: '!this.#backoff && this.#guardFile()', replace: '!this.#backoff && !this.#gone' }],
    why: 'I2: puts are answered that nobody will ever read, as long as more of them come',
    finders: ['persistence/sqlite/thread/loop'],
  },
  {
    name: 'the locks of other workers are tested every two seconds',
    file: 'persistence/sqlite/thread/loop.ts',
    edits: [{ find: 'const probeMs = 150', replace: 'const probeMs = 2_000' }],
    why: 'the jobs of a process that was killed wait for seconds',
    finders: ['persistence/sqlite/thread/loop'],
  },
  {
    name: 'a new file is opened beside the old one',
    file: 'persistence/sqlite/thread/file-link.ts',
    edits: [{ find: 'if (!before) return found', replace: 'if (!before || found) return found' }],
    why: 'I2: two databases use one -shm, and neither can be read',
    finders: ['persistence/sqlite/file/gone'],
  },
  {
    name: 'a stop waits for a backlog that takes nothing',
    file: 'lib/dispatch/dispatch.ts',
    edits: [{ find: 'if (this.noneInFlight) this.#parts.callers.check() //', replace: '//' }],
    why: 'I20: the stop of a queue whose file is gone never resolves',
    finders: ['persistence/sqlite/file/gone'],
  },
  {
    name: 'a hard link is as good as a file',
    file: 'persistence/sqlite/file/open.ts',
    edits: [{ find: 'if (nlink <= 1n) return', replace: 'if (nlink <= 99n) return' }],
    why: 'I2: what is put by one name is not in the log of the other',
    finders: ['persistence/sqlite/file/open'],
  },
  {
    name: 'every file that cannot be found lacks its directory',
    file: 'persistence/sqlite/errors.ts',
    edits: [{ find: 'if (!existsSync(directory))', replace: `if (!existsSync(directory) || said.includes('ENOENT'))` }],
    why: 'the error sends its reader to make a directory that exists',
    finders: ['persistence/sqlite/file/open'],
  },
  {
    name: 'a link is relative to the working directory',
    file: 'persistence/sqlite/file/open.ts',
    edits: [{ find: 'at = resolve(directory, target)', replace: 'at = resolve(target)' }],
    why: 'a link to a file that is still to be made leads somewhere else than it says',
    finders: ['persistence/sqlite/file/open'],
  },
  {
    name: 'a relative path is read when the file is opened',
    file: 'persistence/sqlite/backlog.ts',
    edits: [{ find: 'this.#path = resolve(path)', replace: 'this.#path = path' }],
    why: 'after a chdir the queue works on another file',
    finders: ['persistence/sqlite/file/open'],
  },
  {
    name: 'tables that were rolled back are taken to be there',
    file: 'persistence/sqlite/store/within.ts',
    edits: [
      {
        find: 'const isSeen = parts !== undefined && parts.version.get() === parts.seen',
        replace: 'const isSeen = parts !== undefined',
      },
    ],
    why: 'putWithin fails on a file whose first put was undone',
    finders: ['persistence/sqlite/put-within'],
  },
]
