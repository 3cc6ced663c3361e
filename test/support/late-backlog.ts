/** A backlog in memory that replies like one in another thread: in later turns of the event loop, or with a refusal. */
import type { Backlog, BacklogSession, Exchange, ExchangeResult, SessionOptions } from '../../lib/backlog.ts'
import { MemoryBacklog } from '../../lib/index.ts'

export class DistantBacklog implements Backlog {
  readonly durable = false
  readonly strict = false
  readonly #memory = new MemoryBacklog()
  /** Asked before each turn: true refuses it, and an error refuses it with that. */
  refuses: (exchange: Exchange) => boolean | Error = () => false
  /** Asked with each turn: its answer comes when this settles, of several at the same moment. */
  holds: (exchange: Exchange) => Promise<void> | undefined = () => undefined
  /** Turns that were on their way together, at most. */
  together = 0
  /** Turns are done as soon as they are asked, and only their answers are late. */
  early = false
  /** The checkpoints that turns have stored. */
  readonly checkpoints: unknown[] = []
  /** Puts are taken in when this has resolved. */
  open: Promise<void> = Promise.resolve()
  #away = 0

  async attach(options: SessionOptions): Promise<BacklogSession> {
    const session = await this.#memory.attach(options)
    const { clock } = options
    const turn = (exchange: Exchange): Promise<ExchangeResult> => {
      this.together = Math.max(this.together, ++this.#away)
      const held = this.holds(exchange)
      const take = (): ExchangeResult => {
        for (const { value } of exchange.checkpoints) this.checkpoints.push(value.read())
        return session.turn(exchange) as ExchangeResult
      }
      const done = this.early ? take() : undefined
      const answer = new Promise<ExchangeResult>((resolve, reject) => {
        const ready = (): void => {
          this.#away--
          const refused = this.refuses(exchange)
          if (refused) reject(refused === true ? new Error('refused') : refused)
          else resolve(done ?? take())
        }
        if (held) void held.then(ready)
        else clock.soon(ready)
      })
      if (!held) clock.outside?.(answer.catch(() => {}))
      return answer
    }
    return new Proxy(session, {
      get: (target, name) => {
        if (name === 'turn') return turn
        if (name === 'put')
          return (...asked: Parameters<BacklogSession['put']>) => this.open.then(() => target.put(...asked))
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
