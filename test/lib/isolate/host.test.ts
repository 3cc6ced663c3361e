/** The inside of an isolate. A message that throws there would end the isolate, and count a crash for each job in it. */
import test from 'ava'
import { Host } from '../../../lib/isolate/host.ts'
import type { CallMessage, FromIsolate, ToIsolate } from '../../../lib/isolate/protocol.ts'
import { toWireError } from '../../../lib/isolate/wire-error.ts'
import { VirtualClock } from '../../../testing/index.ts'

const never = (): Promise<never> => new Promise(() => {})

const handlers = {
  quick: () => 'done',
  plain: never,
  generator: function* () {
    for (;;) yield never()
  },
  closing: function* () {
    try {
      for (;;) yield never()
    } finally {
      yield never()
    }
  },
  lateChunk: async function* () {
    for (;;) yield await never()
  },
}
type Form = keyof typeof handlers

async function hostWith({ isLoaded = true }: { isLoaded?: boolean } = {}) {
  const clock = new VirtualClock()
  const received: FromIsolate[] = []
  let load = (): void => {}
  const loaded = new Promise<void>(resolve => {
    load = resolve
  })
  const host = new Host(
    { id: 1, kind: 'thread', queue: 'q', module: 'file:///handler.js', sliceMs: 5, strict: true },
    {
      clock,
      post: ({ items }) => void received.push(...items),
      memory: () => 0,
      load: async () => {
        await loaded
        return { default: (form: Form) => handlers[form]() }
      },
      exit: () => {},
    },
  )
  void host.start()
  if (isLoaded) load()
  await clock.advance(5)
  const call = (number: number, form: Form): CallMessage => ({
    ...{ kind: 'call', call: number, id: `${number}`, payload: form, attempt: 1, crashes: 0 },
    ...{ key: undefined, restored: undefined, startBefore: undefined, limited: false },
  })
  return { clock, host, received, load, call }
}

/** A call in each state that a message may find it in. */
const states = {
  unknown: undefined,
  'not started': 'plain',
  'a promise that is pending': 'plain',
  'a generator that waits': 'generator',
  'a generator that is being closed': 'closing',
  'an async generator in the middle of a step': 'lateChunk',
  ended: 'quick',
} as const satisfies Record<string, Form | undefined>

const reason = toWireError(new Error('enough'))
const messages: Readonly<Record<string, readonly ToIsolate[]>> = {
  withdraw: [{ kind: 'withdraw' }],
  abort: [{ kind: 'abort', call: 1, reason }],
  'abort, twice': [
    { kind: 'abort', call: 1, reason },
    { kind: 'abort', call: 1, reason },
  ],
  park: [{ kind: 'park', call: 1 }],
  unpark: [{ kind: 'unpark', call: 1 }],
  'park, abort and unpark': [
    { kind: 'park', call: 1 },
    { kind: 'abort', call: 1, reason },
    { kind: 'unpark', call: 1 },
  ],
  'a checkpoint that is stored': [{ kind: 'stored', checkpoint: 7, error: undefined }],
  'a checkpoint that failed': [{ kind: 'stored', checkpoint: 7, error: reason }],
  progressTaken: [{ kind: 'progressTaken' }],
}

for (const [state, form] of Object.entries(states)) {
  test(`host: no message throws that comes for a call in the state '${state}', and the next call runs`, async t => {
    for (const [name, batch] of Object.entries(messages)) {
      const { clock, host, received, load, call } = await hostWith({ isLoaded: state !== 'not started' })
      if (form) host.take([call(1, form)])
      await clock.advance(5)
      if (state === 'a generator that is being closed') host.take([{ kind: 'abort', call: 1, reason }])
      await clock.advance(5)

      t.notThrows(() => host.take(batch), name)
      load()
      await clock.advance(5)
      host.take([call(2, 'quick')])
      await clock.advance(5)

      t.true(
        received.some(item => item.kind === 'finished' && item.call === 2),
        `${name}: the next call`,
      )
    }
  })
}

test('host: a generator is parked only while it can take a step', async t => {
  for (const [form, abort, parked] of [
    ['generator', false, 1],
    ['closing', true, 0],
    ['quick', false, 0],
    ['plain', false, 0],
  ] as const) {
    const { clock, host, received, call } = await hostWith()
    host.take([call(1, form)])
    await clock.advance(5)
    if (abort) host.take([{ kind: 'abort', call: 1, reason }])
    host.take([{ kind: 'park', call: 1 }])
    await clock.advance(5)

    t.is(received.filter(({ kind }) => kind === 'parked').length, parked, form)
  }
})
