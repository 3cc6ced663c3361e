import test from 'ava'
import { request, whenReplied } from '../../../lib/support/replies.ts'

test('replies: a synchronous reply is handled before the next microtask', t => {
  const seen: string[] = []

  const answer = whenReplied('a', one => seen.push(one))
  const over = request(
    () => 'b',
    one => void seen.push(one),
    () => t.fail(),
  )

  t.deepEqual([seen, answer, over], [['a', 'b'], 1, undefined])
})

test('replies: promises are handled in the order in which they were resolved', async t => {
  const seen: string[] = []
  const resolvers: ((value: string) => void)[] = []
  const promised = (): Promise<string> => new Promise(resolve => resolvers.push(resolve))
  const refused = (): void => t.fail()
  const all = [
    request(promised, one => void seen.push(one), refused),
    whenReplied(promised(), one => seen.push(one)),
    request(promised, one => void seen.push(one), refused),
  ]

  for (const i of [2, 0, 1]) resolvers[i]?.(`${i}`)
  await Promise.all(all)

  t.deepEqual(seen, ['2', '0', '1'])
})

test('replies: a refusal is handled, whether it is thrown or rejected', async t => {
  const seen: unknown[] = []
  const refused = (error: unknown): void => void seen.push(error)
  const accepted = (): void => t.fail()

  const thrown = request(
    () => {
      throw 'thrown'
    },
    accepted,
    refused,
  )
  const rejected = request(() => Promise.reject('rejected'), accepted, refused)
  await Promise.all([thrown, rejected])

  t.deepEqual(seen, ['thrown', 'rejected'])
})

test('replies: an error thrown while an accepted reply is handled is no refusal', t => {
  const failing = (): void => {
    throw new Error('a bug')
  }

  t.throws(
    () =>
      request(
        () => 1,
        failing,
        () => t.fail(),
      ),
    { message: 'a bug' },
  )
})
