/**
 * A long storm: `npm run crash -- --kills 500 [--together 4] [--seed 1] [--mixed] [--keyed]`. Says what was wrong and
 * ends with 1, or with 0.
 */
import { parseArgs } from 'node:util'
import { endAll, workerPool } from '../support/worker-pool.ts'
import { storm } from './storm.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '500' },
    together: { type: 'string', default: '4' },
    mixed: { type: 'boolean', default: false },
    keyed: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(process.hrtime.bigint() % 1_000_000n) },
  },
})
const [kills, together, seed] = [Number(values.kills), Number(values.together), Number(values.seed)]
if (![kills, together, seed].every(Number.isInteger))
  throw new Error('--kills, --together and --seed are whole numbers')

/** Of so many kills on each kind of fault has to come about. */
const enough = 20

process.stdout.write(`${kills} kills, ${together} processes at a time, seed ${seed}\n`)
const c = workerPool()
const {
  wrong: found,
  report,
  faults,
} = await storm(c, { kills, together, seed, mixed: values.mixed, keyed: values.keyed })
const wrong = [...found]
process.stdout.write(
  `${Object.entries(faults)
    .map(([kind, times]) => `${times} ${kind}`)
    .join(', ')}\n`,
)
for (const [kind, times] of Object.entries(faults)) {
  const wanted = kills >= enough && !((values.mixed || values.keyed) && kind === 'stopped and continued')
  if (wanted && times === 0) wrong.push(`no process was ${kind}: the storm proves nothing of it`)
}
for (const line of wrong) process.stdout.write(`${line}\n`)
const [accepted, started] = ['accepted', 'start'].map(what => c.jobs(what).length)
process.stdout.write(`${accepted} jobs accepted, ${started} starts: ${wrong.length === 0 ? 'all well' : 'WRONG'}\n`)
const judged = Object.entries(report.judged).filter(([, times]) => times > 0)
process.stdout.write(
  `${judged.length} checkers over ${report.entries} entries: ${judged.map(([of, times]) => `${of} ${times}`).join(', ')}\n`,
)
await endAll()
process.exitCode = wrong.length === 0 ? 0 : 1
