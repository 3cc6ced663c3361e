/**
 * A strict server on loopback, in a process of its own, in real time. test/flow/strict-server.test.ts sends 10,000
 * requests in virtual time. `npm run proofs`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue, type Rule, Throttled } from '../../lib/index.ts'

const program = fileURLToPath(new URL('./strict-server.js', import.meta.url))

interface Outcome {
  readonly requests: number
  readonly refused: number
  /** How much of the server's rate was used. */
  readonly used: number
  /** By how much requests differed in how long they took from the handler's first line to the server. */
  readonly differedMs: number
  readonly learnedMs: number
}

async function send(requests: number, rule: { limit: number; per: number } & Partial<Rule>): Promise<Outcome> {
  const server = fork(program, [String(rule.limit), String(rule.per)], { execArgv: [] })
  const [port] = (await once(server, 'message')) as [number]
  let refused = 0
  let [shortest, longest] = [Infinity, -Infinity]
  const queue = new DispatchQueue(
    async () => {
      const startedAt = Number(process.hrtime.bigint()) / 1e6
      const response = await fetch(`http://127.0.0.1:${port}`)
      await response.arrayBuffer()
      const wayMs = Number(response.headers.get('x-arrived-at')) - startedAt
      shortest = Math.min(shortest, wayMs)
      longest = Math.max(longest, wayMs)
      if (response.status !== 429) return
      refused++
      throw new Throttled(Number(response.headers.get('x-wait')))
    },
    { width: 100, rate: rule },
  )
  try {
    const begunAt = performance.now()
    await queue.putMany(Array.from({ length: requests }, (_, i) => i))
    await queue.idle()
    const tookMs = performance.now() - begunAt
    const [{ jitterMs: learnedMs = 0 } = {}] = queue.rate
    const used = ((requests / rule.limit) * rule.per) / tookMs
    return { requests, refused, used, differedMs: longest - shortest, learnedMs }
  } finally {
    await queue.stop()
    server.kill()
  }
}

function shown({ requests, refused, used, differedMs, learnedMs }: Outcome): string {
  const [share, way, learned] = [(used * 100).toFixed(1), differedMs.toFixed(1), learnedMs.toFixed(1)]
  return `${refused} of ${requests} refused, ${share} % of the rate used, ways differed by ${way} ms, jitter ${learned} ms`
}

test.serial('strict server on loopback: with the rule alone requests are refused', async t => {
  const outcome = await send(80, { limit: 10, per: 1_000 })

  t.log(shown(outcome))
  t.true(outcome.refused > 0)
})

test.serial('strict server on loopback: nothing is refused while ways differ by no more than the jitter', async t => {
  const outcome = await send(600, { limit: 10, per: 200, jitter: 20 })

  t.log(shown(outcome))
  t.true(outcome.refused === 0 || outcome.differedMs > 20, shown(outcome))
})

test.serial('strict server on loopback: with a jitter that is learned, less than 1 % is refused', async t => {
  const outcome = await whileQuiet(t, () => send(2_000, { limit: 10, per: 200, jitter: 'learn' }))

  // A busy machine makes ways differ, and what the rule does then is shown in virtual time by the test of this name.
  const judged = outcome.differedMs <= quietMs
  t.true(!judged || outcome.refused < outcome.requests / 100, shown(outcome))
  t.true(!judged || outcome.used >= 0.95, shown(outcome))
})

/**
 * While ways differ by no more than this, the machine is quiet enough to judge. Each longer way that comes for the first
 * time is learned by refusals, and a busy machine has many of them.
 */
const quietMs = 10

/** The first outcome of a time in which the machine was quiet enough to judge it, or the last of two. */
async function whileQuiet(t: ExecutionContext, trial: () => Promise<Outcome>): Promise<Outcome> {
  let outcome = await trial()
  for (let again = 0; again < 1 && outcome.differedMs > quietMs; again++) {
    t.log(shown(outcome))
    outcome = await trial()
  }
  t.log(shown(outcome))
  return outcome
}
