/** The reports and requests of a queue for one exchange. A refused exchange is sent again with the next one. */
import type { Exchange, Settlement, SuspectRoom } from '../backlog.ts'

export class OutgoingExchange implements Exchange {
  now = 0
  wall = 0
  room = 0
  /** A single item of an exchange that was split (exchange-splitter.ts). */
  isPiece = false
  // A single item says nothing about starts.
  mayLaunch = true
  isFull = false
  suspectRoom: SuspectRoom | undefined = undefined
  readonly settled: Settlement[] = []
  readonly confirmed: Exchange['confirmed'] = []
  readonly launchReports: Exchange['launchReports'] = []
  readonly spent: Exchange['spent'] = []
  readonly checkpoints: Exchange['checkpoints'] = []
  readonly endedBodies: Exchange['endedBodies'] = []

  /**
   * Moves all but the first `most` endings to `later`, and with them the closed bodies, which may belong to those
   * endings.
   */
  keepBack(most: number, later: OutgoingExchange): void {
    for (const settled of this.settled.splice(most)) later.settled.push(settled)
    for (const record of this.endedBodies.splice(0)) later.endedBodies.push(record)
  }
  /** Puts the reports of `other` before its own. */
  prepend(other: OutgoingExchange): void {
    this.settled.unshift(...other.settled)
    this.confirmed.unshift(...other.confirmed)
    this.launchReports.unshift(...other.launchReports)
    this.spent.unshift(...other.spent)
    this.checkpoints.unshift(...other.checkpoints)
    this.endedBodies.unshift(...other.endedBodies)
  }
}
