/** How a link fares over threads that die, or do not answer: scripted ones here, and true ones in entry.test.ts. */
import test from 'ava'
import { type Clock, systemClock } from '../../../../lib/clock.ts'
import type { Link } from '../../../../persistence/durable/link.ts'
import type { LinkClient } from '../../../../persistence/durable/link-client.ts'
import type { AttachRequest, ExchangeRequest, PutRequest, Request } from '../../../../persistence/durable/store.ts'
import type { FileToOpen } from '../../../../persistence/sqlite/file/file-to-open.ts'
import type { FileFound } from '../../../../persistence/sqlite/file/open.ts'
import { enterFile } from '../../../../persistence/sqlite/thread/file-link.ts'
import type { FromThread, ToThread } from '../../../../persistence/sqlite/thread/messages.ts'
import type { ThreadConnectionOptions } from '../../../../persistence/sqlite/thread/thread-connection.ts'
import {
  hostWith,
  type Thread,
  type ThreadEvents,
  type ThreadHost,
} from '../../../../persistence/sqlite/thread/thread-host.ts'
import { VirtualClock } from '../../../../testing/virtual-clock.ts'
import { fileSessions } from '../../../support/file-sessions.ts'

const { at } = fileSessions()
async function joined(path: string, options: ThreadConnectionOptions, client: LinkClient, clock: Clock): Promise<Link> {
  const { link } = await enterFile(path, options, client, clock)
  await link.opened
  return link
}
const host = hostWith(new URL('../../../support/fake-threads/never-answers.js', import.meta.url))

function putOf(jobs: number, bytes = 1): PutRequest {
  const each = <T>(value: (i: number) => T): T[] => Array.from({ length: jobs }, (_, i) => value(i))
  return {
    ...{
      kind: 'put',
      queue: 1,
      number: 1,
      acknowledged: 0,
      now: 0,
      wall: 0,
      size: Infinity,
      priorities: undefined,
      extras: [],
    },
    ...{ ids: each(String), payloads: each(() => 'x'.repeat(bytes)), queuedAt: each(() => 0) },
  }
}

for (const [what, put, most] of [
  ['10,000 jobs', putOf(4_000), 8_000],
  ['16 MiB', putOf(2, 2 ** 22), 4],
] as const) {
  test(`thread-connection: at most ${what} of unanswered puts are in flight, and queries overtake the rest`, async t => {
    const client = {
      name: 'q',
      works: false,
      wake() {},
      attached() {},
      stalled() {},
      failed() {},
    } as unknown as LinkClient
    const options = { durability: 'process', stallMs: 300_000, host } as const
    const link = await joined(at(`${what}.db`), options, client, systemClock)
    t.teardown(() => link.leave(client, false))
    for (let i = 0; i < 5; i++) link.request(put).catch(() => {})

    const given = await link.request<number>({ kind: 'find', queue: 1, target: 'any' })

    t.is(given, most)
  })
}

/** Threads that do what the test says: each has started, and says no more by itself. */
function scripted(): {
  readonly host: ThreadHost
  readonly threads: { readonly events: ThreadEvents; readonly said: ToThread[] }[]
} {
  const threads: { events: ThreadEvents; said: ToThread[] }[] = []
  const find = (path: string): Promise<FileFound> => Promise.resolve({ path, key: path })
  const start = (_: FileToOpen, events: ThreadEvents): Thread => {
    const said: ToThread[] = []
    threads.push({ events, said })
    return { post: message => void said.push(message), ref() {}, unref() {} }
  }
  return { host: { process: {}, find, start }, threads }
}
const opens = { kind: 'open' } as const
const refused = (code: string): FromThread => ({ kind: 'refused', error: { code, message: code, fields: {} } })

async function opened(failed: (error: unknown) => void) {
  const { host, threads } = scripted()
  const clock = new VirtualClock()
  const memberOf = (name: string): LinkClient => {
    const attachRequest = { kind: 'attach', name }
    return { name, works: true, attachRequest, wake() {}, attached() {}, stalled() {}, failed } as unknown as LinkClient
  }
  const options = { durability: 'process', stallMs: 300_000, host } as const
  const join = (name: string) => joined('file', options, memberOf(name), clock)
  const client = memberOf('q')
  const joining = joined('file', options, client, clock)
  await clock.settle()
  threads[0]?.events.message(opens)
  return { link: await joining, member: client, clock, threads, join }
}

test('thread-connection: a file that a new thread cannot open is tried until it opens, and then the requests are sent again', async t => {
  const reported: unknown[] = []
  const { link, clock, threads } = await opened(error => reported.push((error as { code?: unknown }).code))
  const looked = link.request({ kind: 'find', queue: 1, target: 'any' })
  threads[0]?.events.exit(1)
  for (const [i, code] of ['BACKLOG_DISK', 'BACKLOG_BUSY', 'DISK_FULL'].entries()) {
    t.is(threads.length, i + 2)
    threads[i + 1]?.events.message(refused(code))
    threads[i + 1]?.events.exit(0)
    await clock.advance(250)
  }
  threads[4]?.events.message(opens)
  await clock.settle()

  const requested = threads[4]?.said.flatMap(said => (said.kind === 'requests' ? said.requests : [])) ?? []
  const [id] = requested.find(([, { kind }]) => kind === 'find') ?? [0]
  threads[4]?.events.message({ kind: 'replies', replies: [[id, { ok: 'found' }]] })
  t.is(await looked, 'found')
  t.deepEqual(reported, ['BACKLOG_DISK'])
})

test('thread-connection: if a file cannot be opened for a minute, or for a reason that stays, all requests fail', async t => {
  for (const [code, tries] of [
    ['BACKLOG_DISK', 242],
    ['BACKLOG_CORRUPT', 1],
  ] as const) {
    const { link, clock, threads } = await opened(() => {})
    const looked = t.throwsAsync(link.request({ kind: 'find', queue: 1, target: 'any' }))
    threads[0]?.events.exit(1)
    for (let i = 1; i < threads.length; i++) {
      threads[i]?.events.message(refused(code))
      threads[i]?.events.exit(0)
      await clock.advance(250)
    }
    await looked
    t.is(threads.length - 1, tries)
  }
})

test('thread-connection: it can be closed while the file cannot be opened', async t => {
  const { link, clock, member: client, threads } = await opened(() => {})
  threads[0]?.events.exit(1)
  threads[1]?.events.message(refused('BACKLOG_DISK'))
  threads[1]?.events.exit(0)

  await t.notThrowsAsync(link.leave(client, false))
  await clock.advance(1_000)
  t.is(threads.length, 2)
})

test('thread-connection: attaching a name after a thread death is retried while the disk or a lock prevents it', async t => {
  const reported: unknown[] = []
  const { clock, threads } = await opened(error => reported.push((error as { code?: unknown }).code))
  threads[0]?.events.exit(1)
  threads[1]?.events.message(opens)
  const attaches = () =>
    (threads[1]?.said ?? [])
      .flatMap(said => (said.kind === 'requests' ? said.requests : []))
      .filter(([, { kind }]) => kind === 'attach')
  for (const [i, code] of ['DISK_FULL', 'BACKLOG_DISK', 'BACKLOG_BUSY'].entries()) {
    await clock.settle()
    t.is(attaches().length, i + 1)
    const [id] = attaches()[i] ?? [0]
    threads[1]?.events.message({ kind: 'replies', replies: [[id, { error: { code, message: code, fields: {} } }]] })
    await clock.advance(250)
  }
  t.is(attaches().length, 4)
  const [id] = attaches()[3] ?? [0]
  threads[1]?.events.message({ kind: 'replies', replies: [[id, { ok: 'taken' }]] })
  await clock.advance(10_000)

  t.is(attaches().length, 4)
  t.deepEqual(reported, ['DISK_FULL'])
})

test('thread-connection: a queue that has left meanwhile is not attached again', async t => {
  const { link, clock, member: client, threads, join } = await opened(() => {})
  await join('stays')
  threads[0]?.events.exit(1)
  threads[1]?.events.message(opens)
  await clock.settle()
  const attached = () =>
    (threads[1]?.said ?? []).flatMap(said =>
      said.kind === 'requests' ? said.requests.filter(([, { kind }]) => kind === 'attach') : [],
    )
  const error = { code: 'DISK_FULL', message: 'full', fields: {} }
  threads[1]?.events.message({ kind: 'replies', replies: attached().map(([id]) => [id, { error }]) })
  await clock.settle()
  void link.leave(client, false)
  await clock.advance(250)

  t.deepEqual(
    attached().map(([, request]) => (request as AttachRequest).name),
    ['q', 'stays', 'stays'],
  )
})

test('thread-connection: an unresolved query is refused when the file is closed, or the thread is dead for good', async t => {
  for (const [end, code] of [
    ['closed', 'QUEUE_STOPPED'],
    ['dead', 'BACKLOG_THREAD'],
  ] as const) {
    const { link, clock, member: client, threads } = await opened(() => {})
    const reported: unknown[] = []
    const report = (requested: Promise<unknown>): void => void requested.catch(({ code }) => reported.push(code))
    // The first finds out by a look, and the other waits for that.
    report(link.request(putOf(1)))
    report(link.request({ kind: 'list', queue: 1, state: undefined, key: undefined, limit: 1, after: undefined }))
    threads[0]?.events.exit(1)
    threads[1]?.events.message(opens)
    await clock.settle()
    if (end === 'closed') {
      void link.leave(client, false)
      await clock.settle()
      threads[1]?.events.exit(0)
    } else threads[1]?.events.exit(1)
    await clock.settle()

    t.deepEqual(reported, ['OUTCOME_UNKNOWN', code])
  }
})

const exchangeOf = (number: number): ExchangeRequest =>
  ({ kind: 'exchange', queue: 1, now: 0, wall: 0, number }) as ExchangeRequest

test('thread-connection: requests made after a death are sent behind earlier ones, also if the outcome of those must be looked up', async t => {
  const { link, clock, threads } = await opened(() => {})
  const send = (request: Request): void => void link.request(request).catch(() => {})
  const requested = (thread: number) =>
    threads[thread]?.said.flatMap(said => (said.kind === 'requests' ? said.requests : [])) ?? []
  const numbers = (thread: number) =>
    requested(thread).flatMap(([, request]) => (request.kind === 'exchange' ? request.number : []))
  send(putOf(1))
  send(exchangeOf(1))
  await clock.settle()
  threads[0]?.events.exit(1)
  send(exchangeOf(2))
  threads[1]?.events.message(opens)
  await clock.settle()
  send(exchangeOf(3))
  await clock.settle()
  t.deepEqual(numbers(1), [])
  // This thread dies too before the put is found.
  await clock.advance(30_000)
  threads[1]?.events.exit(1)
  threads[2]?.events.message(opens)
  await clock.settle()
  send(exchangeOf(4))
  const looks = requested(2).filter(([, { kind }]) => kind === 'replay')

  threads[2]?.events.message({ kind: 'replies', replies: looks.map(([id]) => [id, { ok: undefined }]) })
  await clock.settle()

  t.deepEqual(numbers(2), [1, 2, 3, 4])
  t.is(requested(2).filter(([, { kind }]) => kind === 'put').length, 1)
})

test('thread-connection: the first of two queues of one name to attach gets the name, however long its path takes to resolve', async t => {
  const { host, threads } = scripted()
  const clock = new VirtualClock()
  const found: ((file: FileFound) => void)[] = []
  const slow = { ...host, find: () => new Promise<FileFound>(resolve => found.push(resolve)) }
  const options = { durability: 'process', stallMs: 300_000, host: slow } as const
  const join = (name: string) => {
    const attachRequest = { kind: 'attach', name }
    const member = { name, works: true, attachRequest, wake() {}, attached() {}, stalled() {}, failed() {} }
    return joined('file', options, member as unknown as LinkClient, clock)
  }
  const [first, second, other] = [join('q'), join('q'), join('other')]
  const file = { path: 'file', key: 'file' }
  for (const i of [2, 1, 0]) {
    found[i]?.(file)
    await clock.settle()
  }
  threads[0]?.events.message(opens)

  await t.throwsAsync(second, { code: 'QUEUE_NAME_TAKEN' })
  t.is(await first, await other)
  const third = join('q')
  found[3]?.(file)
  await t.throwsAsync(third, { code: 'QUEUE_NAME_TAKEN' })
})
