/**
 * The reports of a queue for its next exchange: filled, sent, emptied and filled again.
 *
 * The backlog may use its lists until the exchange is answered. A refused exchange is sent again.
 */
import type { Exchange, Settlement } from '../backlog.ts'

export class PooledExchange implements Exchange {
  now = 0
  wall = 0
  room = 0
  /** A single item of an exchange that was split (exchange-splitter.ts). */
  isPiece = false
  mayLaunch = false
  readonly settled: Settlement[] = []
  readonly launched: Exchange['launched'] = []
  readonly launchReports: Exchange['launchReports'] = []
  readonly spent: Exchange['spent'] = []
  readonly checkpoints: Exchange['checkpoints'] = []
  readonly endedBodies: Exchange['endedBodies'] = []

  /**
   * Moves all but the first `most` endings to `later`, and with them the closed bodies, which may belong to those
   * endings.
   */
  keepBack(most: number, later: PooledExchange): void {
    for (const settled of this.settled.splice(most)) later.settled.push(settled)
    for (const record of this.endedBodies.splice(0)) later.endedBodies.push(record)
  }
  /** Puts the reports of `other` before its own. */
  prepend(other: PooledExchange): void {
    this.settled.unshift(...other.settled)
    this.launched.unshift(...other.launched)
    this.launchReports.unshift(...other.launchReports)
    this.spent.unshift(...other.spent)
    this.checkpoints.unshift(...other.checkpoints)
    this.endedBodies.unshift(...other.endedBodies)
  }
  empty(): void {
    if (this.settled.length > 0) this.settled.length = 0
    if (this.launched.length > 0) this.launched.length = 0
    if (this.launchReports.length > 0) this.launchReports.length = 0
    if (this.spent.length > 0) this.spent.length = 0
    if (this.checkpoints.length > 0) this.checkpoints.length = 0
    if (this.endedBodies.length > 0) this.endedBodies.length = 0
  }
}
