/** Reduces a plan that fails, as long as it fails in the same way, and prints it as a test. */
import type { Command, Config, Plan } from './plan.ts'
import { simulate } from './schedule.ts'

/** The most runs that are tried. */
const maxTries = 600

/** The kind of a violation: its invariant, or its text without numbers. */
export function kindOf(violation: string): string {
  const [, invariant] = /^(I\d+):/.exec(violation) ?? []
  return (
    invariant ??
    violation
      .split('\n')[0]
      ?.replace(/[\d.]+/g, '#')
      .slice(0, 60) ??
    ''
  )
}

type Run = (plan: Plan) => Promise<{ readonly violations: readonly string[] }>

export async function shrink(plan: Plan, kind: string, run: Run = simulate): Promise<Plan> {
  let left = maxTries
  let best = plan
  const fails = async (smaller: Plan): Promise<boolean> => {
    if (left-- <= 0) return false
    const { violations } = await run(smaller)
    if (!violations.some(violation => kindOf(violation) === kind)) return false
    best = smaller
    return true
  }
  for (let before = Infinity; left > 0 && sizeOf(best) < before; ) {
    before = sizeOf(best)
    // Long runs of commands are removed first, then ever shorter ones.
    for (let length = Math.ceil(best.commands.length / 2); length >= 1; length = Math.floor(length / 2)) {
      for (let from = best.commands.length - length; from >= 0 && left > 0; from -= length) {
        const { commands } = best
        await fails({ ...best, commands: [...commands.slice(0, from), ...commands.slice(from + length)] })
      }
    }
    for (let i = 0; i < best.commands.length && left > 0; i++) {
      for (const simpler of simplerCommands(best.commands[i] as Command)) {
        await fails({ ...best, commands: best.commands.with(i, simpler) })
      }
    }
    for (const [name, value] of Object.entries(plainest) as [keyof Config, never][]) {
      if (String(best.config[name]) !== String(value))
        await fails({ ...best, config: { ...best.config, [name]: value } })
    }
  }
  return best
}

const plainest: Partial<Config> = {
  ...{ listeners: [], rate: [], durability: 'power', timeoutMs: Infinity, size: Infinity, results: false },
  ...{
    keys: undefined,
    globalWidth: undefined,
    isolate: undefined,
    keepMs: 600_000,
    idsMs: 600_000,
    stallMs: 300_000,
    width: 1,
    attempts: 1,
    afterCrash: 'again',
  },
}

function simplerCommands(command: Command): Command[] {
  if (command.do === 'advance' || command.do === 'block') {
    return [1, 25].filter(ms => ms < command.ms).map(ms => ({ ...command, ms }))
  }
  if (command.do === 'steps') return [1, 4].filter(count => count < command.count).map(count => ({ ...command, count }))
  if (command.do === 'at point') return command.nth > 1 ? [{ ...command, nth: 1 }] : []
  if (command.do === 'start' && command.keys) return [{ do: 'start', who: command.who, works: command.works }]
  if (command.do !== 'put') return []
  const { scripts } = command
  const plain = scripts.map(script => ({ ...script, as: 'async' as const, steps: 0, stubborn: false }))
  return [
    ...(scripts.length > 1 ? scripts.map(script => ({ ...command, scripts: [script] })) : []),
    { ...command, scripts: scripts.map(script => ({ ...script, ends: ['ok' as const], ms: 0 })) },
    { ...command, scripts: plain },
    {
      ...command,
      by: 'put',
      priority: 0,
      key: '',
      otherKeys: undefined,
      tokens: 0,
      bytes: 0,
      signal: false,
      wall: false,
    },
    { ...command, delay: 0 },
  ].filter(simpler => JSON.stringify(simpler) !== JSON.stringify(command)) as Command[]
}

function sizeOf({ commands, config }: Plan): number {
  return textOf({ commands, config }).length
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (part === Infinity ? 'Infinity' : part)).replaceAll(
    '"Infinity"',
    'Infinity',
  )
}

/** The plan as a test for test/simulation/regressions.test.ts. */
export function asTest({ seed, config, commands }: Plan, violation: string): string {
  const title = `seed ${seed}: ${violation.split('\n')[0]}`.replaceAll("'", '"')
  return [
    `test('${title}', async t => {`,
    `  const { violations } = await simulate({`,
    `    seed: ${seed},`,
    `    config: ${textOf(config)},`,
    `    commands: [`,
    ...commands.map(command => `      ${textOf(command)},`),
    `    ],`,
    `  })`,
    ``,
    `  t.deepEqual(violations, [])`,
    `})`,
  ].join('\n')
}
