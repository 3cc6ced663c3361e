/** The log of the starts that a rate remembers. Each window (window.ts) walks over it. */
import type { Cost } from './rules.ts'

// The columns of a row, in this order; the costs in each unit follow.
const own = 0
const countedAt = 1
const grantedAt = 2
const olderOne = 3
const newerOne = 4
export const firstCost = 5

export const minSlots = 8
const maxUnits = 16

/**
 * The remembered starts, each a row of numbers. The low bits of a start's number are its slot, so that a lookup is
 * direct; a number whose slot is taken is never issued. The rows are linked in order of the instant at which they
 * count. 0 means no start.
 */
export class StartLog {
  size = 0
  /** The number issued last. */
  last: number
  oldest = 0
  newest = 0
  units: readonly string[] = []
  /** A power of two, or 0 before the first start. */
  slots = 0
  /** The numbers of starts that were added, changed or removed, if a store records changes. */
  touched: Set<number> | undefined
  #width = firstCost
  #cells = new Float64Array(0)
  /**
   * The start moved last. The search for the next place begins there, because confirmations arrive almost in order of
   * instant.
   */
  #moved = 0

  constructor(last: number) {
    this.last = last
  }
  /** Half of the slots are taken. Growing at this point keeps a free slot near. */
  get full(): boolean {
    return this.size * 2 >= this.slots
  }
  slot(grant: number): number {
    return grant & (this.slots - 1)
  }
  read(grant: number, column: number): number {
    return this.#cells[this.slot(grant) * this.#width + column] as number
  }
  has(grant: number): boolean {
    return grant > 0 && this.read(grant, own) === grant
  }
  at(grant: number): number {
    return this.read(grant, countedAt)
  }
  older(grant: number): number {
    return this.read(grant, olderOne)
  }
  newer(grant: number): number {
    return this.read(grant, newerOne)
  }
  /** A start as a row of {@link RateState}. */
  row(grant: number): number[] {
    const costs = this.units.map((_, unit) => this.read(grant, firstCost + unit))
    return [grant, this.read(grant, grantedAt), this.at(grant), ...costs]
  }

  add(now: number, at: number, cost: Cost | undefined): number {
    const { slots, size, last } = this
    if (this.full) this.relay(Math.max(slots * 2, minSlots), this.units)
    // After a rush, the log shrinks again when the numbers come round.
    else if (slots > minSlots && size * 8 <= slots && (size === 0 || this.slot(last) === 0)) {
      this.relay(slots / 2, this.units)
    }
    this.#meet(cost)
    let grant = last + 1
    while (this.read(grant, own) !== 0) grant++
    this.last = grant
    for (let unit = 0; unit < this.units.length; unit++) {
      this.#write(grant, firstCost + unit, amountOf(cost, this.units[unit] as string))
    }
    this.#put(grant, now, at, this.newest)
    this.touched?.add(grant)
    return grant
  }
  /** Restores a start from the result of `row`. A cost that the row lacks is 0. */
  restore(row: readonly number[]): void {
    const [grant, now, at] = row as [number, number, number]
    while (this.full || this.read(grant, own) !== 0) this.relay(Math.max(this.slots * 2, minSlots), this.units)
    this.touched?.add(grant)
    for (let unit = 0; unit < this.units.length; unit++) this.#write(grant, firstCost + unit, row[3 + unit] ?? 0)
    this.#put(grant, now, at, this.newest)
  }
  move(grant: number, at: number): void {
    const real = Math.max(at, this.read(grant, grantedAt))
    this.remove(grant)
    this.#put(grant, real, real, this.has(this.#moved) ? this.#moved : this.newest)
    this.#moved = grant
  }
  correct(grant: number, cost: Cost): void {
    this.#meet(cost)
    for (const [index, unit] of this.units.entries()) {
      const amount = cost[unit]
      if (amount !== undefined && amount >= 0) this.#write(grant, firstCost + index, amountOf(cost, unit))
    }
    this.touched?.add(grant)
  }
  remove(grant: number): void {
    const older = this.older(grant)
    const newer = this.newer(grant)
    this.#link(older, newer)
    this.#write(grant, own, 0)
    this.size--
    this.touched?.add(grant)
  }
  /** Records costs in these units too. */
  name(units: readonly string[]): void {
    this.relay(this.slots, [...new Set([...this.units, ...units])])
  }
  /** Changes the number of slots and the units. Does nothing if two rows would share a slot. */
  relay(slots: number, units: readonly string[]): void {
    const width = firstCost + units.length
    const cells = new Float64Array(slots * width)
    const from = units.map(unit => this.units.indexOf(unit))
    for (let grant = this.oldest; grant !== 0; grant = this.newer(grant)) {
      const row = (grant & (slots - 1)) * width
      if (cells[row] !== 0) return
      for (let column = 0; column < firstCost; column++) cells[row + column] = this.read(grant, column)
      from.forEach((known, unit) => {
        if (known >= 0) cells[row + firstCost + unit] = this.read(grant, firstCost + known)
      })
    }
    this.slots = slots
    this.units = units
    this.#width = width
    this.#cells = cells
  }
  /**
   * Records a unit that no rule counts yet, because a later rule may count it. `maxUnits` keeps jobs from widening the
   * rows without end.
   */
  #meet(cost: Cost | undefined): void {
    for (const unit in cost) if (!this.units.includes(unit) && this.units.length < maxUnits) this.name([unit])
  }
  #put(grant: number, now: number, at: number, near: number): void {
    let older = near
    while (older !== 0 && this.at(older) > at) older = this.older(older)
    let newer = older === 0 ? this.oldest : this.newer(older)
    while (newer !== 0 && this.at(newer) <= at) {
      older = newer
      newer = this.newer(newer)
    }
    this.#write(grant, own, grant)
    this.#write(grant, countedAt, at)
    this.#write(grant, grantedAt, now)
    this.#link(older, grant)
    this.#link(grant, newer)
    this.size++
  }
  #link(older: number, newer: number): void {
    if (older === 0) this.oldest = newer
    else this.#write(older, newerOne, newer)
    if (newer === 0) this.newest = older
    else this.#write(newer, olderOne, older)
  }
  #write(grant: number, column: number, value: number): void {
    this.#cells[this.slot(grant) * this.#width + column] = value
  }
}

/** `put` refuses NaN and negative costs; here they count as 0. */
export function amountOf(cost: Cost | undefined, unit: string): number {
  const amount = cost?.[unit]
  return amount !== undefined && amount > 0 ? Math.min(amount, Number.MAX_VALUE) : 0
}
