/** Asks the user's `afterCrash` how a run ended whose process died, and settles the job by that verdict. */
import type { Announcer } from '../announce/announcer.ts'
import type { SettleKind, Settlement } from '../backlog.ts'
import { CrashedError, describe, OptionError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { JobRecord } from '../job.ts'
import type { AfterCrash } from '../options/options.ts'
import type { Dispatch } from './dispatch.ts'

export interface CrashVerdictsParts {
  readonly dispatch: Dispatch
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly afterCrash: AfterCrash<unknown, unknown>
  readonly announcer: Announcer
}

/** An ending that belongs to no run of this process: the verdict on a run that a crash ended. */
class VerdictSettlement implements Settlement {
  readonly grant = 0
  readonly value: undefined
  readonly waitMs = 0
  readonly heldKey: undefined
  readonly within = false
  readonly record: JobRecord
  readonly fence: number
  readonly kind: SettleKind
  readonly error: unknown
  readonly crashes: number | undefined
  constructor(record: JobRecord, kind: SettleKind, error: unknown, crashes: number | undefined) {
    this.record = record
    this.fence = record.fence
    this.kind = kind
    this.error = error
    this.crashes = crashes
  }
}

export class CrashVerdicts {
  readonly #parts: CrashVerdictsParts

  constructor(parts: CrashVerdictsParts) {
    this.#parts = parts
  }
  /**
   * Calls `afterCrash` and settles the job by its verdict. After an invalid verdict the job runs again, because a
   * repeated run does less harm than a lost job.
   *
   * @param died What ended while the job ran. The backlog counts the crash of a process, and not yet that of an isolate.
   */
  async request(record: JobRecord, died: 'process' | 'isolate'): Promise<void> {
    const { dispatch, emitter, afterCrash, announcer } = this.#parts
    const job = announcer.jobOf(record)
    const uncounted = died === 'isolate' ? job.crashes : undefined
    const settle = (kind: SettleKind, error?: unknown): void =>
      dispatch.settleByVerdict(new VerdictSettlement(record, kind, error, uncounted))
    try {
      const verdict = typeof afterCrash === 'function' ? await afterCrash(job) : 'again'
      // `snooze` without a wait: back at once, the attempt not used.
      if (verdict === 'again') return settle('snooze')
      if (verdict === 'finished') return settle('finished')
      if (verdict === 'failed') return settle('failed', new CrashedError(died))
      throw new OptionError(
        'afterCrash',
        verdict,
        `must answer 'again', 'finished' or 'failed', got ${describe(verdict)}`,
      )
    } catch (error) {
      emitter.report(error, { event: 'recovered', job })
      settle('snooze')
    }
  }
}
