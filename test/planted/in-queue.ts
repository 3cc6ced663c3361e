/** Bugs planted in the stations of the queue: width, pause and stop, endings, retries, events and promises. */
import type { Plant } from './plant.ts'

export const inQueue: readonly Plant[] = [
  {
    name: 'however many commands there are, all are sent at once',
    file: 'lib/put/intake.ts',
    edits: [
      {
        find: 'const fits = this.#commandsInLoopTurn < maxCommandsInLoopTurn',
        replace: 'const fits = this.#commandsInLoopTurn >= 0',
      },
    ],
    why: 'twenty thousand cancels hold the event loop for a fifth of a second',
    finders: ['lib/put/intake'],
  },
  {
    name: 'launches are not reported',
    file: 'lib/dispatch/launch-reports.ts',
    edits: [
      {
        find: 'if (run.launchReport === seenRunning) this.report(run)',
        replace: 'if (run.launchReport > seenRunning) this.report(run)',
      },
    ],
    why: 'I17: a job that kills its process is never proven to',
    finders: ['lib/dispatch/launch-reports'],
  },
  {
    name: 'a body does not wait for the report of its launch',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: 'if (run.caution !== noCaution && !isReported)',
        replace: 'if (run.caution > launchAlone && !isReported)',
      },
    ],
    why: 'I23: what killed its process twice is taken for one that had not begun',
    finders: ['flow/cautions'],
  },
  {
    name: 'one that is to run alone begins beside bodies that the backlog does not know',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: 'if (!may || run.caution !== launchAlone',
        replace: 'if (!may || run.caution < launchAlone || run.fence > 0',
      },
    ],
    why: 'I23: it is condemned for the crash of a body whose job was lost',
    finders: ['flow/cautions'],
  },
  {
    name: 'the timer that keeps the process alive stays when it should end',
    file: 'lib/dispatch/keep-alive.ts',
    edits: [
      {
        find: 'if (this.#busy.delete(who) && this.#busy.size === 0) this.#timer?.unref()',
        replace: 'if (this.#busy.has(who) && this.#busy.size === 1) this.#timer?.unref()',
      },
    ],
    why: 'I20: queues that were used and dropped are never collected',
    finders: ['flow/dropped'],
  },
  {
    name: 'bodies that run do not hold their queue',
    file: 'lib/dispatch/keep-alive.ts',
    edits: [{ find: 'this.#busy.add(who)', replace: 'this.#busy.add({ who: new WeakRef(who) })' }],
    why: 'I20: a queue is collected while its body waits, and no signal reaches it any more',
    finders: ['flow/dropped'],
  },
  {
    name: 'a signal holds the queues that it would stop',
    file: 'lib/support/signals.ts',
    edits: [{ find: ': new WeakRef(self)', replace: ': { deref: () => self }' }],
    why: 'I20: a service with one signal and a queue for each request keeps them all',
    finders: ['flow/dropped'],
  },
  {
    name: 'a pass with few endings makes later passes small, though they are quick',
    file: 'lib/dispatch/batch-pacer.ts',
    edits: [{ find: 'Math.max(2 * count, this.#costMs < quickMs ? usualBatch : 1)', replace: '2 * count' }],
    why: 'jobs on a file are a third slower',
    finders: ['lib/dispatch/batch-pacer'],
  },
  {
    name: 'the time left in the slice does not bound a pass',
    file: 'lib/dispatch/batch-pacer.ts',
    edits: [
      {
        find: 'Math.max(1, Math.min(this.#bound, fit))',
        replace: 'Math.max(1, Math.min(this.#bound, maxSettlements, fit + maxSettlements))',
      },
    ],
    why: 'listeners that take a millisecond each hold up the loop for half a second',
    finders: ['lib/dispatch/batch-pacer'],
  },
  {
    name: 'a launch is recorded before the first step of its generator',
    file: 'lib/run/run.ts',
    edits: [{ find: 'task.begin()', replace: 'task.enter()' }],
    why: 'I5: first lines of generators run later than their launches are recorded, and crowd into the next window',
    finders: ['flow/forms', 'limit/limit'],
  },
  {
    name: 'how late a launch may be recorded has a cap',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: 'const at = this.clock.now()',
        replace: 'const at = Math.min(this.clock.now(), (run as unknown as { before: number }).before + 5)',
      },
      {
        find: '    this.running++\n',
        replace: '    this.running++\n    Object.assign(run, { before: clock.now() })\n',
      },
    ],
    why: 'I5: a process that is halted before a first line records it too early, and frees its place too early',
    finders: ['flow/forms'],
  },
  {
    name: 'the cost of a launch that is reported late is forgotten',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: 'if (cost) next.spent.unshift',
        replace: 'if (cost && run === undefined) next.spent.unshift',
      },
    ],
    why: 'I5: after a halt of more than a window what was launched meanwhile costs nothing',
    finders: ['flow/forms'],
  },
  {
    name: 'a generator that was transpiled is a result',
    file: 'lib/run/run.ts',
    edits: [{ find: 'return Symbol.iterator in answer ||', replace: 'return Symbol.iterator in Object ||' }],
    why: 'its job finishes without a step, and the work is lost without a word',
    finders: ['flow/forms'],
  },
  {
    name: 'who waits for an exchange is answered by an earlier one',
    file: 'lib/dispatch/exchanges.ts',
    edits: [
      {
        find: 'if (isWhole) for (const waiter of waiting) waiter.resolve()',
        replace: 'for (const waiter of waiting) waiter.resolve()',
      },
    ],
    why: 'I18: checkpoint() resolves before the checkpoint is stored; and a stop leaves claimed jobs behind',
    finders: ['lib/dispatch/exchanges'],
  },
  {
    name: 'who waits for a later exchange is not told that an earlier one was refused',
    file: 'lib/dispatch/exchanges.ts',
    edits: [{ find: 'new Set(waiting.slice(0, count))', replace: 'new Set(isWhole ? waiting.slice(0, count) : [])' }],
    why: 'stop() never settles if two bodies end after the thread of the file has ended for good',
    finders: ['lib/dispatch/exchanges'],
  },
  {
    name: 'who waits for a later exchange is answered by the parts of an earlier one',
    file: 'lib/dispatch/exchanges.ts',
    edits: [
      {
        find: 'split(exchange, isWhole ? waiting : noWaiters)',
        replace: 'split(exchange, isWhole ? waiting : waiting)',
      },
    ],
    why: 'I18: checkpoint() resolves before the checkpoint is stored; and a stop leaves claimed jobs behind',
    finders: ['lib/dispatch/exchanges'],
  },
  {
    name: 'who waits for a split exchange is not told that the backlog fails',
    file: 'lib/dispatch/exchange-splitter.ts',
    edits: [{ find: '    for (const stored of this.#flushWaiters.splice(0)) stored.fail(reason)\n', replace: '' }],
    why: 'stop() never settles if the thread of the file ends while the parts of a refused exchange are sent',
    finders: ['lib/dispatch/exchanges'],
  },
  {
    name: 'a listener that was taken off is remembered',
    file: 'lib/events/events.ts',
    edits: [{ find: '(ofEvent = new WeakMap())', replace: '(ofEvent = new Map<Listener, Listener>() as never)' }],
    why: 'I20: who listens for a while, again and again, fills the memory',
    finders: ['flow/faults-volume'],
  },
  {
    name: 'a job is put anew before its ending was announced',
    file: 'lib/control/commands.ts',
    edits: [{ find: 'if (this.#unannounced.size > 0) await', replace: 'if (this.#unannounced.size < 0) await' }],
    why: 'I11, I16: an ending is not announced, and its result never settles',
    finders: ['flow/mass'],
  },
  {
    name: 'one body more than the width',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: 'this.#suspensions === 0 && this.running < this.width && now < run.graceUntil',
        replace: 'this.#suspensions === 0 && this.running <= this.width && now < run.graceUntil',
      },
    ],
    why: 'I4: what was claimed before the queue was made narrower starts above the new width',
    finders: ['flow/faults-listener', 'flow/width'],
  },
  {
    name: 'a slot is free when its job is cancelled, not when its body has ended',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: `
    if (run.state === closing) this.closing++`,
        replace: `
    if (run.state === closing) {
      this.closing++
      this.slotsTaken--
      if (run.launched) this.running--
    }`,
      },
      {
        find: `
    if (run.launched || run.isolatedBody) this.#countBodyEnd(run)
    this.runs.remove(run)
    this.slotsTaken--`,
        replace: `
    if (run.state !== closed) {
      if (run.launched) this.#countBodyEnd(run)
      this.slotsTaken--
    }
    this.runs.remove(run)`,
      },
    ],
    why: 'I4: bodies that go on after a cancel or a timeout run beside others, above the width',
    finders: ['flow/retry', 'flow/invariants'],
  },
  {
    name: 'a pause is not looked at between claim and launch',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      {
        find: `
      if (!this.#mayLaunchNow(run, limited ? clock.now() : 0)) return this.#handBack(run)`,
        replace: '',
      },
    ],
    why: 'I10: a job starts though a listener of its own `underway` event has paused or stopped the queue',
    finders: ['flow/faults-listener', 'flow/events', 'flow/pause-stop'],
  },
  {
    name: 'stop starts what was claimed already',
    file: 'lib/lifecycle.ts',
    edits: [
      {
        find: `this.#mayLaunch = this.works && this.#phase === 'open' && `,
        replace: `this.#mayLaunch = this.works && `,
      },
    ],
    why: 'I10: a body starts after the call of stop()',
    finders: ['flow/faults-listener', 'flow/pause-stop'],
  },
  {
    name: 'a wake is lost while all exchanges are on their way',
    file: 'lib/dispatch/dispatch.ts',
    edits: [{ find: '    if (this.#passWanted) this.#schedule()\n', replace: '' }],
    why: 'I6: what was put, settled or widened meanwhile is looked at only when something else happens',
    finders: ['lib/dispatch/dispatch', 'flow/invariants'],
  },
  {
    name: 'room that was requested in vain is not requested again',
    file: 'lib/dispatch/exchanges.ts',
    edits: [{ find: '    this.wantRoom()\n', replace: '' }],
    why: 'I6: of a wider queue whose exchanges are far away, some slots stay empty though jobs wait',
    finders: ['lib/dispatch/dispatch'],
  },
  {
    name: 'a wider width wakes nobody',
    file: 'lib/control/settings.ts',
    edits: [
      {
        find: `
    emitter.announce('width', now, before, ...reason)
    dispatch.wake()`,
        replace: `
    emitter.announce('width', now, before, ...reason)`,
      },
    ],
    why: 'I6: jobs wait though there are free slots',
    finders: ['flow/width', 'flow/invariants'],
  },
  {
    name: 'a pause is over while one body still runs',
    file: 'lib/control/waiters.ts',
    edits: [
      {
        find: 'const empty = this.#slots.slotsTaken === 0',
        replace: 'const empty = this.#slots.slotsTaken <= 1',
      },
    ],
    why: 'I10: pause() resolves true while something is underway',
    finders: ['lib/control/waiters', 'flow/pause-stop'],
  },
  {
    name: 'a queue with delayed jobs is idle',
    file: 'lib/control/idleness.ts',
    edits: [
      {
        find: 'return counts.pending + counts.delayed + counts.underway === 0',
        replace: 'return counts.pending + counts.underway === 0',
      },
    ],
    why: 'I16: idle() resolves, and the event comes, while jobs are yet to run',
    finders: ['flow/look', 'flow/events'],
  },
  {
    name: 'a suspension of launches ends twice',
    file: 'lib/control/settings.ts',
    edits: [{ find: '      if (isOver) return\n', replace: '' }],
    why: 'launches resume while the rules of another change are not in force, or never again',
    finders: ['lib/control/settings'],
  },
  {
    name: 'jobs are queued at the instant of the oldest put that is not sent',
    file: 'lib/put/intake.ts',
    edits: [
      {
        find: `= (): void => {
    this.#wall = undefined`,
        replace: `= (): void => {
    if (this.#buffer.length === 0) this.#wall = undefined`,
      },
    ],
    why: 'under a steady load queuedAt stands still, and so do the instants in generated ids',
    finders: ['lib/put/intake'],
  },
  {
    name: 'what left a queue is still referred to by its cell',
    file: 'lib/support/fifo.ts',
    edits: [{ find: '    this.#cells.fill(undefined, this.#head, end)\n', replace: '' }],
    why: 'under a steady load sent puts are kept with their payloads',
    finders: ['lib/put/intake', 'lib/support/fifo'],
  },
  {
    name: 'the empty cells of a queue that is never empty are kept',
    file: 'lib/support/fifo.ts',
    edits: [{ find: 'this.#head >= minCut && this.#head * 2', replace: 'this.#head < 0 && this.#head * 2' }],
    why: 'under a steady load the memory grows with each put',
    finders: ['lib/support/fifo'],
  },
  {
    name: 'a put is accepted before the backlog has it',
    file: 'lib/put/intake.ts',
    edits: [
      {
        find: `
    this.#send(
      records,`,
        replace: `
    this.acceptAll(all, records, areRecords, undefined)
    this.#send(
      records,`,
      },
      { find: 'existed => this.acceptAll(all, records, areRecords, existed),', replace: '() => {},' },
    ],
    why: 'I1: a put resolves for a job that a crash at that moment loses',
    finders: ['lib/dispatch/dispatch', 'crash/points'],
  },
  {
    name: 'the answer to a put is acted on one microtask late',
    file: 'lib/support/replies.ts',
    edits: [
      {
        find: 'if (types.isPromise(answer)) return answer.then(accepted, refused)',
        replace: 'if (answer !== null) return Promise.resolve(answer).then(accepted, refused)',
      },
    ],
    why: 'I11: on a busy queue in memory a job is underway before it is pending',
    finders: ['lib/support/replies', 'flow/event-order'],
  },
  {
    name: 'the answer to a command is acted on one microtask late',
    file: 'lib/support/replies.ts',
    edits: [
      {
        find: 'return types.isPromise(answer) ? answer.then(act) : act(answer)',
        replace: 'return Promise.resolve(answer).then(act)',
      },
    ],
    why: 'I11: on a busy queue in memory a job that is put anew is underway before it is pending',
    finders: ['lib/support/replies', 'flow/event-order'],
  },
  {
    name: 'nobody looks for a job whose put has an unknown outcome',
    file: 'lib/put/arrivals.ts',
    edits: [{ find: '  perhapsPut(): void {\n    this.#parts.loop.wake()', replace: '  perhapsPut(): void {\n' }],
    why: 'I1: the job is stored and waits, until something else wakes the queue',
    finders: ['testing/remote-backlog'],
  },
  {
    name: 'nobody looks for a job that a change with an unknown outcome let wait',
    file: 'lib/control/commands.ts',
    edits: [{ find: `if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#parts.dispatch.wake()`, replace: '' }],
    why: 'I1: a job that was put anew waits until something else wakes the queue',
    finders: ['testing/remote-backlog'],
  },
  {
    name: 'the answer to a later exchange puts off what a refused one reported',
    file: 'lib/dispatch/dispatch.ts',
    edits: [
      {
        find: 'this.#alarm.set(Math.min(nextLookAt, resendAt), now,',
        replace: 'this.#alarm.set(nextLookAt, now,',
      },
    ],
    why: 'I1: an ending is not stored before something else wakes the queue',
    finders: ['lib/dispatch/dispatch'],
  },
  {
    name: 'an ending is announced before it is stored',
    file: 'lib/dispatch/dispatch.ts',
    edits: [
      {
        find: `
    this.#exchanges.shorten(exchange)`,
        replace: `
    this.#exchanges.shorten(exchange)
    for (const one of exchange.settled) {
      if (one.kind !== 'finished' || !(one as Run).launched) continue
      one.record.state = 'finished'
      this.#announcer.ended(one.record)
      one.record.state = 'underway'
    }`,
      },
    ],
    why: 'I3: a process that dies in between has announced an ending that comes again',
    finders: ['flow/events', 'crash/points'],
  },
  {
    name: 'a late value settles its job again',
    file: 'lib/run/run.ts',
    edits: [
      {
        find: `
    if ((before & open) !== 0) {
      const timedOut = this.#rare?.timedOut
      if (timedOut) this`,
        replace: `
    if (this.launched) {
      const timedOut = this.#rare?.timedOut
      if (timedOut) this`,
      },
    ],
    why: 'I3: a job that was cancelled or timed out ends a second time when its body returns',
    finders: ['flow/invariants', 'flow/retry'],
  },
  {
    name: 'jobs begin in the context in which their queue was made',
    file: 'lib/dispatch/launcher.ts',
    edits: [
      { find: `import type { AsyncResource }`, replace: `import { AsyncResource }` },
      { find: `cleanContext('DispatchQueueLaunch')`, replace: `new AsyncResource('DispatchQueueLaunch')` },
    ],
    why: 'all jobs bear the id of the first request, whose store is never freed',
    finders: ['flow/context'],
  },
  {
    name: 'a clean context has the stores of its caller',
    file: 'lib/support/clean-context.ts',
    edits: [
      {
        find: 'if (idKey === undefined || triggerKey === undefined) return loaded',
        replace: `if (idKey === undefined || triggerKey === undefined || type !== '') return made`,
      },
    ],
    why: 'a queue that was made in a request carries its context for ever',
    finders: ['lib/support/clean-context', 'flow/context'],
  },
  {
    name: 'listeners run in the context of whoever put, cancelled or steered',
    file: 'lib/events/events.ts',
    edits: [
      {
        find: 'inCleanContext(this.emit as (...args: unknown[]) => boolean, this, event, ...args)',
        replace: 'void [inCleanContext, (this.emit as (...args: unknown[]) => boolean).call(this, event, ...args)]',
      },
    ],
    why: 'what a listener logs bears the id of a request that has nothing to do with the job',
    finders: ['flow/context'],
  },
  {
    name: 'a signal is aborted in the context of whoever cancels',
    file: 'lib/run/run.ts',
    edits: [
      {
        find: 'inCleanContext(this.#abort, this, this.#ensureRare)',
        replace: `inCleanContext
    this.#abort(this.#ensureRare)`,
      },
    ],
    why: 'what a handler does at its abort runs in the context of another request',
    finders: ['flow/context'],
  },
  {
    name: 'a backlog is opened in the context of a request',
    file: 'lib/control/opening.ts',
    edits: [{ find: 'inCleanContext(this.#open, this, backlog, users)', replace: 'this.#open(backlog, users)' }],
    why: 'the thread of a file keeps the store of the request that made the first queue',
    finders: ['flow/sqlite/context'],
  },
  {
    name: 'a failed opening emits a warning besides its rejection',
    file: 'lib/control/opening.ts',
    edits: [{ find: 'if (!this.#isAwaited && !intake.failureReported) emitter', replace: 'emitter' }],
    why: 'one error is reported twice, the second time as unobserved',
    finders: ['flow/doors'],
  },
  {
    name: 'an error of a backlog shows nothing of the call that it answers',
    file: 'lib/support/call-site.ts',
    edits: [
      {
        find: 'return Object.defineProperties(Made(), fields)',
        replace: 'return Object.defineProperties(Made(), fields) && error',
      },
    ],
    why: 'the stack shows how a report came in, and no line of the user',
    finders: ['flow/located'],
  },
  {
    name: 'the key of a question is not looked at',
    file: 'lib/control/queries.ts',
    edits: [{ find: 'if (key !== undefined) checkLabel', replace: `if (key === '') checkLabel` }],
    why: 'a key that is no text is reported as a fault of the backlog, and not by its name',
    finders: ['flow/sqlite/every-door'],
  },
  {
    name: 'any event may be listened to',
    file: 'lib/events/events.ts',
    edits: [{ find: `oneOf('event', event ?? null, eventNames)`, replace: '' }],
    why: 'a misspelt event is waited for in silence',
    finders: ['flow/doors'],
  },
  {
    name: 'a control error of a second copy of rdq means nothing',
    file: 'lib/settle/control-errors.ts',
    edits: [
      {
        find: `  if (!carries) return undefined`,
        replace: `  if (!(error instanceof DispatchError)) return undefined`,
      },
    ],
    why: 'what is thrown by a handler with a copy of its own uses attempts, and a 429 holds no rate',
    finders: ['lib/settle/control-errors'],
  },
  {
    name: 'the key of a throttle is not looked at',
    file: 'lib/settle/control-errors.ts',
    edits: [
      {
        find: 'key: checkedKey(key), rule: checkedRule(rule) }',
        replace: 'key: key as string, rule: checkedRule(rule) }',
      },
    ],
    why: 'a key that cannot be stored stops a whole queue on a file',
    finders: ['lib/settle/control-errors'],
  },
  {
    name: 'a throttle without a Retry-After holds nothing where retries do not wait',
    file: 'lib/settle/backoff.ts',
    edits: [{ find: 'return retry.delayMs || 1_000', replace: 'return retry.delayMs' }],
    why: 'a server that replies 429 is called again and again, without an end',
    finders: ['lib/settle/error-settlement'],
  },
  {
    name: 'the wait of a late attempt is no number',
    file: 'lib/settle/backoff.ts',
    edits: [{ find: 'retry.delayMs === 0 ? 0 : Math.min', replace: 'Math.min' }],
    why: 'the event retry tells NaN',
    finders: ['lib/settle/backoff', 'flow/retry'],
  },
  {
    name: 'an instant passes for a duration',
    file: 'lib/parse/duration.ts',
    edits: [{ find: '(match ? ms <= longest : ms < longest)', replace: 'ms <= maxMs' }],
    why: 'a delay of Date.now() + 5_000 waits for decades',
    finders: ['lib/parse/duration', 'flow/doors'],
  },
  {
    name: 'seconds pass for the milliseconds of an instant',
    file: 'lib/parse/duration.ts',
    edits: [{ find: `typeof ms === 'number' && ms >= earliestMs`, replace: `typeof ms === 'number' && ms >= 0` }],
    why: 'a runAt in seconds is in the past, and its job starts at once',
    finders: ['lib/parse/duration', 'flow/doors'],
  },
  {
    name: 'what an option was when it was checked is not what is used',
    file: 'lib/options/options.ts',
    edits: [
      {
        find: 'return { priority, delay, runAt, key, id, cost, retry, timeout, signal } as PutOptions',
        replace: 'return options',
      },
    ],
    why: 'a getter that answers twice puts what was never checked',
    finders: ['lib/options/options'],
  },
  {
    name: 'a retry does not wait',
    file: 'lib/settle/error-settlement.ts',
    edits: [
      {
        find: `settlement('retry', backoffMs(attempt, retry, chance))`,
        replace: `settlement('retry')`,
      },
    ],
    why: 'I14: a failing job is called again and again without its backoff',
    finders: ['lib/settle/error-settlement', 'flow/retry'],
  },
  {
    name: 'one attempt more than there are',
    file: 'lib/settle/error-settlement.ts',
    edits: [{ find: 'attempt >= retry.attempts', replace: 'attempt > retry.attempts' }],
    why: 'I9: a job runs more often than `retry` allows',
    finders: ['lib/settle/error-settlement', 'flow/retry'],
  },
  {
    name: 'the timeout of a body that has ended goes on',
    file: 'lib/run/run.ts',
    edits: [
      {
        find: `
    rare.timer?.cancel()
    rare.bodyEnd?.resolve()`,
        replace: `
    rare.bodyEnd?.resolve()`,
      },
    ],
    why: 'I20: each job with a timeout leaves a timer behind, which keeps the process alive',
    finders: ['flow/invariants'],
  },
  {
    name: 'a job that has ended still listens to its signal',
    file: 'lib/support/signals.ts',
    edits: [
      {
        find: 'if (listening.delete(item) && listening.size === 0 && ',
        replace: 'if (listening.size === 0 && ',
      },
    ],
    why: 'I20: a signal that lives as long as its service keeps something of each job that was put with it',
    finders: ['lib/support/signals', 'flow/faults-volume'],
  },
  {
    name: 'a listener that throws stops the others',
    file: 'lib/events/events.ts',
    edits: [
      {
        find: `
        } catch (error) {
          failed(error)
        }
      }
      ofEvent`,
        replace: `
        } catch (error) {
          failed(error)
          throw error
        }
      }
      ofEvent`,
      },
    ],
    why: 'a listener can hurt the queue: the next listener is not called, and a pass of the loop ends in the middle',
    finders: ['flow/events', 'flow/faults-listener'],
  },
  {
    name: 'work goes on when its slice is used up',
    file: 'lib/cooperate/cooperator.ts',
    edits: [
      {
        find: 'if (now >= this.#sliceEnds || this.#remainingSteps <= 0) break',
        replace: 'if (this.#remainingSteps <= -1_000_000) break',
      },
    ],
    why: 'the event loop has no turn while generators have steps to take',
    finders: ['lib/cooperate/cooperator', 'flow/tasks'],
  },
  {
    name: 'an alarm rings a little early',
    file: 'lib/clock.ts',
    edits: [
      {
        find: 'if (performance.now() < this.#instant) this.#arm()',
        replace: 'if (Math.round(performance.now()) < Math.floor(this.#instant)) this.#arm()',
      },
    ],
    why: 'I14: a job starts before its delay, or a backoff, is over',
    finders: ['lib/clock'],
  },
  {
    name: 'a cut-short body has used its attempt',
    file: 'lib/run/run.ts',
    edits: [
      {
        find: `if (before === interrupted) this.#settle('interrupted')`,
        replace: `if (before === interrupted) this.#settle('failed')`,
      },
    ],
    why: 'I9: a stop punishes the jobs that it cuts short',
    finders: ['flow/pause-stop', 'crash/signals'],
  },
  {
    name: 'a change overtakes the puts before it',
    file: 'lib/put/intake.ts',
    edits: [
      {
        find: 'if (this.#batchesInFlight > 0 || !this.#fitsCommand()) return',
        replace: 'if (!this.#fitsCommand()) return',
      },
    ],
    why: 'I2: what was put before a clear is not cleared, and a cancel does not find its job',
    finders: ['flow/look', 'flow/sqlite/look', 'flow/put'],
  },
  {
    name: 'a lost run gives its result',
    file: 'lib/announce/results.ts',
    edits: [{ find: 'run?.fence === record.fence && (', replace: 'run !== undefined && (' }],
    why: 'I16: a waiting caller gets the result of a run that did not count',
    finders: ['lib/announce/results', 'simulation/regressions'],
  },
  {
    name: 'a job that was never launched is reported as lost',
    file: 'lib/dispatch/notice-handler.ts',
    edits: [
      {
        find: 'if (dispatch.launcher.runs.lose(record)) announcer',
        replace: 'if (dispatch.launcher.runs.lose(record) || record.fence > 0) announcer',
      },
    ],
    why: 'I11: listeners get the end of a run that they never saw begin',
    finders: ['simulation/regressions'],
  },
  {
    name: 'a run that has gone back still counts as announced',
    file: 'lib/dispatch/dispatch.ts',
    edits: [{ find: 'run.announced = false', replace: 'run.announced = run.launched' }],
    why: 'I11: a job that awaits its verdict is reported as lost by a process in which it ran before',
    finders: ['simulation/regressions'],
  },
  {
    name: 'a job put while all slots were requested is not claimed when one is free',
    file: 'lib/dispatch/dispatch.ts',
    edits: [
      {
        find: 'if (!isWidthTaken || isSuspended) return this.wake()\n    this.#exchanges.wantRoom()',
        replace: 'if (!isWidthTaken || isSuspended) return this.wake()',
      },
    ],
    why: 'I1, I10: a job waits though a slot is free',
    finders: ['lib/dispatch/dispatch'],
  },
  {
    name: 'an iterator over the events of a stopped queue waits for one',
    file: 'lib/events/event-stream.ts',
    edits: [{ find: 'if (emitter.over) this.end()', replace: 'if (emitter.over && most < 1) this.end()' }],
    why: 'a loop over the events of a queue that has stopped never ends',
    finders: ['flow/events'],
  },
  {
    name: 'events that nobody reads gather without end',
    file: 'lib/events/event-stream.ts',
    edits: [{ find: 'this.#buffer.length - this.#read >= this.#most', replace: 'this.#buffer.length < this.#read' }],
    why: 'memory grows with each event beside a reader that is slow',
    finders: ['flow/events'],
  },
  {
    name: 'each event that is read moves all unread ones',
    file: 'lib/events/event-stream.ts',
    edits: [
      {
        find: 'this.#read >= minRead && this.#read * 2 >= this.#buffer.length',
        replace: 'this.#read * minRead >= this.#read',
      },
    ],
    why: 'a reader that fell behind by 100,000 events holds up the event loop for seconds',
    finders: ['lib/events/event-stream'],
  },
  {
    name: 'an iterator outlives its listener',
    file: 'lib/events/events.ts',
    edits: [
      {
        find: 'if (event === undefined || stream.event === event) stream.end()',
        replace: 'if (event === undefined) stream.end()',
      },
    ],
    why: 'a loop over events whose listener was removed never ends',
    finders: ['flow/events'],
  },
  {
    name: 'a queue is ready before it knows of a shared pause',
    file: 'lib/dispatch/dispatch.ts',
    edits: [{ find: 'if (session.sharedPaused) this.#sharedPause.sharedPauseChanged(true)', replace: '' }],
    why: '`paused` reads false after `ready()` although a shared pause is in force',
    finders: ['flow/ready'],
  },
  {
    name: 'a second queue of a name is not refused by its constructor',
    file: 'lib/options/name-taken.ts',
    edits: [
      { find: 'if (names.get(name)?.deref()) throw', replace: "if (name === '' && names.get(name)?.deref()) throw" },
    ],
    why: 'of two queues of one name the first may be the one that is refused',
    finders: ['flow/ready', 'flow/pause-stop'],
  },
  {
    name: 'a plain pause of a queue without a handler seems to hold',
    file: 'lib/queue.ts',
    edits: [{ find: 'if (!shared && !this.#works) return Promise.reject(pauseWithoutHandler())', replace: '' }],
    why: 'somebody believes that nothing starts, while the workers go on',
    finders: ['flow/without-handler'],
  },
  {
    name: 'keep.results is taken where no finished job is kept',
    file: 'lib/options/options.ts',
    edits: [{ find: 'if (policy.results && policy.finishedMs === 0) {', replace: 'if (policy.finishedMs < 0) {' }],
    why: 'somebody believes that results are kept, and each is forgotten at once',
    finders: ['lib/options/options'],
  },
  {
    name: 'a queue without a handler may have a backlog that no other queue knows',
    file: 'lib/options/no-handler.ts',
    edits: [{ find: 'if (backlog === undefined) {', replace: 'if (backlog === null) {' }],
    why: 'its puts are accepted, and wait for ever',
    finders: ['flow/without-handler'],
  },
  {
    name: 'each free place takes out all puts that wait for space',
    file: 'lib/put/overflow.ts',
    edits: [{ find: 'this.#waiting.take(this.#space)', replace: 'this.#waiting.take(Infinity)' }],
    why: 'the time that very many waiting puts take grows with the square of their number',
    finders: ['lib/put/intake'],
  },
  {
    name: 'what does not fit after all waits behind what came later',
    file: 'lib/put/overflow.ts',
    edits: [
      {
        find: 'if (rest.length > 0) return this.putBack(rest)',
        replace: 'for (const entry of rest) this.#wait(entry)\n      if (rest.length > 0) return',
      },
    ],
    why: 'puts that wait for space are accepted in another order than they were made in',
    finders: ['lib/put/intake', 'flow/put'],
  },
  {
    name: 'puts that may be stored are sent once more, one by one',
    file: 'lib/put/refusals.ts',
    edits: [
      {
        find: `if (codeOf(error) === 'OUTCOME_UNKNOWN' || entries.length === 1) {`,
        replace: 'if (entries.length === 1) {',
      },
    ],
    why: 'I1: the put is there twice',
    finders: ['lib/put/refusals'],
  },
  {
    name: 'puts that wait are sent after a stop',
    file: 'lib/put/overflow.ts',
    edits: [
      {
        find: 'return this.#waiting.length > 0 && !this.#lifecycle.stopping',
        replace: 'return this.#waiting.length > 0',
      },
    ],
    why: 'a job is put that nobody runs, while its caller gets QueueStoppedError',
    finders: ['lib/put/overflow', 'lib/put/intake'],
  },
  {
    name: 'a cancel by id forgets the puts that wait for space',
    file: 'lib/put/waiting-ids.ts',
    edits: [{ find: 'return this.#entries.has(id)', replace: `return id === '' && this.#entries.has(id)` }],
    why: 'cancel() resolves false, and the cancelled job runs as soon as there is space',
    finders: ['flow/signals', 'flow/sqlite/signals'],
  },
  {
    name: 'a cancel by id takes puts that wait for space although the backlog knows the id',
    file: 'lib/control/commands.ts',
    edits: [
      {
        find: `if (done.changed.length === 0) {
        withdraw(done)`,
        replace: `withdraw(done)
      if (done.changed.length === 0) {`,
      },
      { find: 'if (done.found || !waits || !', replace: 'if (!waits || !' },
    ],
    why: 'a put of a job that is there rejects instead of finding it',
    finders: ['flow/signals', 'flow/sqlite/signals'],
  },
  {
    name: 'very many single cancels are announced at once',
    file: 'lib/control/commands.ts',
    edits: [
      { find: 'if (dispatch.yieldPoint.fits()) return announce(done)', replace: 'if (done) return announce(done)' },
    ],
    why: 'the listeners of all of them hold up the event loop together',
    finders: ['flow/mass'],
  },
  {
    name: 'a single cancel is announced a turn of the loop late',
    file: 'lib/cooperate/yield-point.ts',
    edits: [{ find: 'if (!this.#sliceOpened) {', replace: 'if (this.#sliceOpened) {' }],
    why: 'each cancel takes longer, though nothing has used up the slice',
    finders: ['flow/mass'],
  },
  {
    name: 'a shared pause that is refused goes on in its own process',
    file: 'lib/control/pauses.ts',
    edits: [{ find: 'if (lifecycle.isStandIn && this.#requests === 1 && !', replace: 'if (this.#requests > 9 && !' }],
    why: '`pause` has rejected, `paused` reads true, and nothing starts here while the other processes go on',
    finders: ['flow/pause-stop', 'flow/sqlite/pause-stop'],
  },
  {
    name: 'a shared pause that is refused undoes a pause of the queue alone',
    file: 'lib/control/pauses.ts',
    edits: [{ find: 'if (lifecycle.isStandIn && this.#requests === 1 && !', replace: 'if (this.#requests === 1 && !' }],
    why: 'I8: jobs start although the queue was paused and not resumed',
    finders: ['flow/pause-stop', 'flow/sqlite/pause-stop'],
  },
  {
    name: 'a run is refused in the name of put',
    file: 'lib/put/entries.ts',
    edits: [{ find: `entry instanceof JobRecord ? 'cannot run' : 'cannot put'`, replace: "'cannot put'" }],
    why: 'the message names a call that nobody made',
    finders: ['flow/pause-stop'],
  },
  {
    name: 'unobserved failures are counted, and the count is never shown',
    file: 'lib/events/events.ts',
    edits: [{ find: '    this.#failures.rest()\n', replace: '' }],
    why: 'a warning tells of one failed job, and a thousand failed after it',
    finders: ['flow/events', 'flow/faults-process'],
  },
  {
    name: 'a queue without a handler takes options that it cannot honour',
    file: 'lib/queue.ts',
    edits: [{ find: 'if (handler === null) refuseWithoutHandler(options, parsed.backlog)', replace: '' }],
    why: 'a web process sets three attempts, and each job has one',
    finders: ['flow/without-handler'],
  },
  {
    name: 'an ending that was recorded late is that of the next job',
    file: 'lib/run/run.ts',
    edits: [{ find: 'this.record !== record || this.fence !== fence || this.settled', replace: '!record || !fence' }],
    why: 'I3: a job settles with the result of another one',
    finders: ['lib/finish-within'],
  },
]
