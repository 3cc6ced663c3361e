/** The queue's side of the probe: batches go to the thread, and its answers come back in order. */
import { performance } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'

/** Batches of puts unanswered at a time: one is stored while the next is made, and the loop gets its turns. */
const putsAhead = 2

export class Probe {
  #worker
  #waiting = []

  /** @param {string} path @param {'FULL' | 'NORMAL'} [synchronous] */
  constructor(path, synchronous = 'FULL') {
    this.#worker = new Worker(new URL('./thread.mjs', import.meta.url), { workerData: { path, synchronous } })
    this.#worker.on('message', answer => this.#waiting.shift()(answer))
  }
  /** @param {{ put?: string[], settled?: number[], room?: number }} request */
  exchange(request) {
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      this.#worker.postMessage(request)
    })
  }
  /**
   * Puts all payloads and hands each to `handler`; resolves when all have settled, with when the last put was stored.
   *
   * @param {unknown[]} payloads
   * @param {number} batch jobs in a transaction
   * @param {(payload: unknown) => void} handler
   */
  async run(payloads, batch, handler) {
    let stored = 0
    let onPut = () => {}
    let next = 0
    const putOn = async () => {
      while (next < payloads.length) {
        const put = payloads.slice(next, (next += batch)).map(payload => JSON.stringify(payload))
        await this.exchange({ put })
        stored += put.length
        onPut()
      }
    }
    const claimOn = async () => {
      let settled = []
      for (let done = 0; done < payloads.length; done += settled.length) {
        const claimed = await this.exchange({ settled, room: batch })
        settled = claimed.seqs
        for (const payload of claimed.payloads) handler(JSON.parse(payload))
        if (settled.length === 0 && stored < payloads.length) {
          await new Promise(resolve => {
            onPut = resolve
          })
        }
      }
      await this.exchange({ settled })
    }
    const puts = Promise.all(Array.from({ length: putsAhead }, putOn)).then(() => performance.now())
    const claims = claimOn()
    const storedAt = await puts
    await claims
    return storedAt
  }
  close() {
    return this.#worker.terminate()
  }
}
