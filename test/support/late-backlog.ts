/**
 * A backlog in memory whose exchanges are answered late, when and how the test says.
 *
 * `RemoteBacklog` of `rdq/testing` shows that the queue keeps its promises whatever the order of replies. This one is for
 * tests about one given order.
 */
import type { Backlog, BacklogSession, Exchange, ExchangeResult, SessionOptions } from '../../lib/backlog.ts'
import { MemoryBacklog } from '../../lib/index.ts'

export class LateBacklog implements Backlog {
  readonly durable = false
  readonly strict = false
  readonly #memory = new MemoryBacklog()
  /** Called before each exchange is answered: true or an error refuses it. */
  refuses: (exchange: Exchange) => boolean | Error = () => false
  /**
   * Called with each exchange: its reply comes when the promise settles, several in one step; by default in the next
   * turn of the loop.
   */
  answersAfter: (exchange: Exchange) => Promise<void> | undefined = () => undefined
  /** The most exchanges that were in flight together. */
  together = 0
  /** Whether exchanges take effect at once, so that only their replies are late. */
  executesAtOnce = false
  /** The checkpoints that exchanges have stored. */
  readonly checkpoints: unknown[] = []
  /** Puts take effect once this has resolved. */
  putsAfter: Promise<void> = Promise.resolve()
  #inFlight = 0

  async attach(options: SessionOptions): Promise<BacklogSession> {
    const session = await this.#memory.attach(options)
    const { clock } = options
    const exchange = (exchange: Exchange): Promise<ExchangeResult> => {
      this.together = Math.max(this.together, ++this.#inFlight)
      const until = this.answersAfter(exchange)
      const take = (): ExchangeResult => {
        for (const { value } of exchange.checkpoints) this.checkpoints.push(value.read())
        return session.exchange(exchange) as ExchangeResult
      }
      const result = this.executesAtOnce ? take() : undefined
      const answer = new Promise<ExchangeResult>((resolve, reject) => {
        const ready = (): void => {
          this.#inFlight--
          const refused = this.refuses(exchange)
          if (refused) reject(refused === true ? new Error('refused') : refused)
          else resolve(result ?? take())
        }
        if (until) void until.then(ready)
        else clock.soon(ready)
      })
      if (!until) clock.outside?.(answer.catch(() => {}))
      return answer
    }
    return new Proxy(session, {
      get: (target, name) => {
        if (name === 'exchange') return exchange
        if (name === 'put')
          return (...requested: Parameters<BacklogSession['put']>) =>
            this.putsAfter.then(() => target.put(...requested))
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
