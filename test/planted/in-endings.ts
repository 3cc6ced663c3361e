/** Bugs planted in signals, waits and what a body that goes on means. */
import type { Plant } from './plant.ts'

export const inEndings: readonly Plant[] = [
  {
    name: 'a launch does not look at the signal of its job',
    file: 'lib/run.ts',
    edits: [{ find: 'return signal?.aborted === true && this', replace: 'return signal === null && this' }],
    why: 'a body begins after its signal has aborted: the cancel itself comes too late for what was claimed',
    finders: ['flow/signals'],
  },
  {
    name: 'an abort while the put is on its way to the backlog is forgotten',
    file: 'lib/aborts.ts',
    edits: [{ find: 'if (signal?.aborted) this.#add(', replace: 'if (signal?.aborted === null) this.#add(' }],
    why: 'the job waits on, though nobody wants it any more, and so does who waits for its result',
    finders: ['flow/sqlite/signals'],
  },
  {
    name: 'a put that its signal took out goes to the backlog all the same',
    file: 'lib/intake.ts',
    edits: [{ find: '|| !this.#left.delete(ask)', replace: '|| this.#left.delete(ask) || true' }],
    why: 'the put has rejected, and its job is there',
    finders: ['flow/signals'],
  },
  {
    name: 'the place of a put that its signal took out stays taken',
    file: 'lib/aborts.ts',
    edits: [{ find: '      intake.roomAgain()\n', replace: '' }],
    why: 'a put that would fit waits behind one that is gone',
    finders: ['flow/signals'],
  },
  {
    name: 'a signal goes on to concern its job when that is put anew',
    file: 'lib/aborts.ts',
    edits: [{ find: '  live.unlisten?.()\n  live.signal = undefined', replace: '  void live' }],
    why: 'a job that its signal has cancelled never runs again, whoever retries it',
    finders: ['flow/signals'],
  },
  {
    name: 'each queue has a listener of its own on a signal',
    file: 'lib/signals.ts',
    edits: [{ find: 'fans.get(signal) ?? new Fan(signal)', replace: 'new Fan(signal)' }],
    why: 'Node warns of a leak where more than ten queues stop by one signal',
    finders: ['lib/signals'],
  },
  {
    name: 'a queue that was collected stays a listener of its signals',
    file: 'lib/signals.ts',
    edits: [{ find: '  for (const fan of fans) fan.leave(member)', replace: '  void [fans, member]' }],
    why: 'I20: a service with a queue for each request fills the signal that it stops them by',
    finders: ['lib/signals'],
  },
  {
    name: 'a queue object does not see the signal of a job that another one has put',
    file: 'persistence/sqlite/put-signals.ts',
    edits: [{ find: 'if (this.#records.size === 0) return', replace: 'if (this.#records.size >= 0) return' }],
    why: 'a body begins after its signal has aborted in the same process',
    finders: ['flow/sqlite/signals'],
  },
  {
    name: 'a clear leaves the puts that wait for room',
    file: 'lib/change.ts',
    edits: [{ find: '      waiting = intake.takeWaiting()', replace: '      void intake' }],
    why: 'I2: what was put before a clear is not cleared',
    finders: ['flow/signals', 'flow/look'],
  },
  {
    name: 'a queue is idle when a stop has given its jobs back',
    file: 'lib/shutdown.ts',
    edits: [{ find: 'ending(pending + delayed + underway > 0)', replace: 'ending(false)' }],
    why: 'who waits for all to be done is told so of what never ran',
    finders: ['flow/pause-stop'],
  },
  {
    name: 'an idle() that nobody awaits ends the process',
    file: 'lib/queue.ts',
    edits: [{ find: '    idle.catch(() => {})\n', replace: '' }],
    why: 'a stop is an unhandled rejection',
    finders: ['flow/pause-stop'],
  },
  {
    name: 'a job whose body heeds no signal waits for it for ever',
    file: 'lib/run.ts',
    edits: [
      {
        find: 'if (!timedOut || this.done || this.ended) return',
        replace: 'if (timedOut || this.done || this.ended) return',
      },
    ],
    why: 'run() and result never settle, and nothing but stuck is heard',
    finders: ['flow/retry', 'flow/faults-handler'],
  },
  {
    name: 'who has a lot to do takes no breath',
    file: 'lib/breath.ts',
    edits: [{ find: 'return this.#steps >= stepsMost || !this.#cooperator.open', replace: 'return false' }],
    why: 'the event loop stands still while a signal or a clear cancels very many jobs',
    finders: ['flow/mass'],
  },
  {
    name: 'a turn takes whatever has ended',
    file: 'lib/dispatch.ts',
    edits: [{ find: 'if (exchange.settled.length > most) {', replace: 'if (exchange.settled.length > 1e9) {' }],
    why: 'the event loop stands still while the endings of very many bodies are told',
    finders: ['flow/mass'],
  },
  {
    name: 'jobs start while they are being cleared',
    file: 'persistence/room.ts',
    edits: [{ find: 'held || this.clearing ? 0', replace: 'held ? 0' }],
    why: 'I2: what was put before a clear runs after it',
    finders: ['flow/mass'],
  },
  {
    name: 'puts overtake the steps of a clear',
    file: 'lib/intake.ts',
    edits: [
      { find: 'if (this.#flushing || this.#makesAlone) return', replace: 'if (this.#flushing) return' },
      { find: ' && !this.#makesAlone) {', replace: ') {' },
    ],
    why: 'I2: a clear cancels what was put after it',
    finders: ['flow/mass'],
  },
  {
    name: 'puts that wait are forgotten when a clear fails',
    file: 'lib/change.ts',
    edits: [{ find: '      intake.waitAgain(waiting)\n', replace: '' }],
    why: 'a put never settles',
    finders: ['flow/put'],
  },
  {
    name: 'a put waits for room after the stop',
    file: 'lib/intake.ts',
    edits: [
      {
        find: `
    if (this.#stopped) {
      this.#refuse(ask, new QueueStoppedError('cannot put'))
      return false
    }`,
        replace: '',
      },
    ],
    why: 'a put never settles',
    finders: ['flow/put'],
  },
  {
    name: 'any promise is called as one of the language',
    file: 'lib/sure.ts',
    edits: [{ find: 'types.isPromise(value) && value.then === then', replace: 'types.isPromise(value)' }],
    why: 'a promise that answers twice ends the job that its run goes on to',
    finders: ['flow/faults-handler'],
  },
  {
    name: 'a job that is put anew shows its former run',
    file: 'persistence/room.ts',
    edits: [{ find: '    job.renew()\n', replace: '' }],
    why: 'the result of the new run is that of the former one',
    finders: ['flow/retry'],
  },
  {
    name: 'a pause in the call that makes a generator does not park it',
    file: 'lib/run.ts',
    edits: [{ find: 'if (this.#host.parked && this', replace: 'if (this.ended && this' }],
    why: 'the pause never resolves',
    finders: ['flow/task-control'],
  },
  {
    name: 'an iterator over events outlives an off of its event',
    file: 'lib/events.ts',
    edits: [{ find: '    if (listener === undefined) return this.removeAllListeners(event)\n', replace: '' }],
    why: 'who reads it waits for ever',
    finders: ['flow/events'],
  },
  {
    name: 'a job that is cancelled before its launch has used its start',
    file: 'persistence/room.ts',
    edits: [{ find: 'if (settled.launched === false) this', replace: 'if (settled.launched === null) this' }],
    why: 'I6: less than the rate is used after cancels',
    finders: ['flow/signals'],
  },
  {
    name: 'a job that is cancelled before its launch has used its start on a file',
    file: 'persistence/sqlite/columns.ts',
    edits: [{ find: `(kind === 'cancelled' && launched === false)`, replace: 'launched === null' }],
    why: 'I6: less than the rate is used after cancels',
    finders: ['flow/sqlite/signals'],
  },
  {
    name: 'a handler that waits for its own queue is not told',
    file: 'lib/run.ts',
    edits: [{ find: '      enterBody(this)\n      answer =', replace: '      answer =' }],
    why: 'a queue stands still for ever, without a word',
    finders: ['flow/own-waits'],
  },
  {
    name: 'whoever waits long is told that it waits for itself',
    file: 'lib/own-waits.ts',
    edits: [{ find: 'if (!run.isOf(record, fence) || run.ended || !isStuck()) return', replace: 'void isStuck' }],
    why: 'a warning that is not so',
    finders: ['flow/own-waits'],
  },
]
