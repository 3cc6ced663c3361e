/**
 * What a queue has to tell its backlog with the next turn: filled, told, emptied and filled again.
 *
 * Its lists are lent to the backlog until the turn is answered. A turn that the backlog refused is told again.
 */
import type { Exchange, Settlement } from '../backlog.ts'

export class PooledExchange implements Exchange {
  now = 0
  wall = 0
  room = 0
  /** One thing of an exchange that was taken apart (exchange-splitter.ts). */
  isPiece = false
  mayLaunch = false
  readonly settled: Settlement[] = []
  readonly launched: Exchange['launched'] = []
  readonly launchReports: Exchange['launchReports'] = []
  readonly spent: Exchange['spent'] = []
  readonly checkpoints: Exchange['checkpoints'] = []
  readonly endedBodies: Exchange['endedBodies'] = []

  /** Leaves to `later` all but the first `most` endings, and with them the bodies that have closed, whose endings those may be. */
  keepBack(most: number, later: PooledExchange): void {
    for (const settled of this.settled.splice(most)) later.settled.push(settled)
    for (const record of this.endedBodies.splice(0)) later.endedBodies.push(record)
  }
  /** Puts before its own what `other` had to tell. */
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
