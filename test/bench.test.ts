/**
 * The report of the bench is made from its data and from nothing else, and the bench judges as it says.
 *
 * Measuring is no test's business: what is held here are the parts of bench/ that take data. They import no peer.
 */
import test from 'ava'
import { filesIn, textOf } from './support/repository.ts'

/** What this test uses of bench/, which is plain JavaScript. */
interface Bench {
  readonly reportOf: (data: string, readme: string) => Readonly<Record<string, string>>
  readonly fromLines: (data: string) => { readonly results: readonly Result[] }
  readonly linesOf: (result: Result) => string[]
  readonly resultOf: (suite: string, part: object, run: object) => Result
  readonly boundText: (bound: unknown) => string
  readonly verdictOf: (
    measured: { readonly values: readonly number[] },
    baseline?: number,
  ) => { readonly passed: boolean }
}
interface Result {
  readonly bounds: readonly unknown[]
}

async function bench<Name extends keyof Bench>(file: string, name: Name): Promise<Bench[Name]> {
  const found = (await import(new URL(`../../bench/${file}`, import.meta.url).href)) as Bench
  return found[name]
}

const dataPath = 'docs/benchmarks/data.jsonl'

const machine = {
  ...{
    machine: { cpu: 'a', cores: 2, memoryGiB: 4 },
    system: 'b',
    node: '20.0.0',
    sqlite: '12.0.0',
    peers: { fastq: '1.0.0' },
  },
  ...{ load: [0, 0, 0], rdq: { version: '0.1.0', commit: 'c' } },
}
const run = { params: { n: 10 }, date: '2026-11-25T10:00:00.000Z', commit: 'c', quick: false, rounds: 2, seconds: 1 }
const part = {
  ...{
    name: 'p',
    title: 'what was done',
    ours: 'rdq',
    metrics: [{ name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' }],
  },
  contenders: { rdq: true, fastq: true, broken: true },
  bounds: [
    { kind: 'goal', contender: 'rdq', versus: 'fastq', metric: 'rate', atLeast: 2 },
    {
      ...{ kind: 'goal', contender: 'rdq', metric: 'rate', atLeast: 1_000 },
      or: { contender: 'rdq', versus: 'fastq', metric: 'rate', atLeast: 1.5 },
    },
    { kind: 'bound', contender: 'rdq', metric: 'rate', atMost: 120 },
    { kind: 'bound', contender: 'broken', metric: 'rate', atLeast: 1 },
  ],
}
const samples = [
  { contender: 'rdq', turn: 0, figures: { rate: 150 } },
  { contender: 'fastq', turn: 1, figures: { rate: 100 } },
  { contender: 'broken', turn: 2, error: 'no such thing' },
]

test('bench: the page, its plots, its data and the figures of the README match the recorded data', async t => {
  const reportOf = await bench('write.mjs', 'reportOf')

  const report = reportOf(textOf(dataPath), textOf('README.md'))

  for (const [path, text] of Object.entries(report)) {
    t.true(textOf(path) === text, `${path} is not what npm run bench -- --report --from ${dataPath} writes`)
  }
  const stray = filesIn('docs/benchmarks').filter(path => report[path] === undefined)
  t.deepEqual(stray, [])
})

test('bench: a figure changed in the data changes the page, a plot and the README', async t => {
  const reportOf = await bench('write.mjs', 'reportOf')
  const data = textOf(dataPath)
  const line = /^\{"suite":"memory","part":"run-10","contender":"rdq run","metric":"rate".*$/m.exec(data)?.[0] ?? ''
  t.not(line, '')

  const report = reportOf(data.replace(line, line.replace(/"median":[\d.]+/, '"median":98765432')), textOf('README.md'))

  for (const path of ['docs/benchmarks.md', 'docs/benchmarks/memory-run-10.svg', 'README.md']) {
    t.true(report[path]?.includes('98,800,000'), path)
    t.false(textOf(path).includes('98,800,000'), path)
  }
})

test('bench: the figures of the README take no more than six lines', t => {
  const [, block = ''] = /<!-- bench: .* -->\n([\s\S]*?)\n<!-- \/bench -->/.exec(textOf('README.md')) ?? []
  const lines = block.split('\n')

  t.true(lines.length > 2 && lines.length <= 6, block)
  t.notRegex(block, /not measured|NaN|undefined/)
})

test('bench: a result as lines, read again, is the same result', async t => {
  const [resultOf, linesOf, fromLines] = await Promise.all([
    bench('results.mjs', 'resultOf'),
    bench('results.mjs', 'linesOf'),
    bench('results.mjs', 'fromLines'),
  ])
  const result = resultOf('s', part, { ...run, samples })

  const lines = [JSON.stringify(machine), ...linesOf(result)]

  t.deepEqual(fromLines(lines.join('\n')).results, [JSON.parse(JSON.stringify(result))])
  t.is(lines.length, 1 + 1 + 3, 'a machine, a part, and one for each contender, also for the one that failed')
})

test('bench: the last measurement of a part counts', async t => {
  const [resultOf, linesOf, fromLines] = await Promise.all([
    bench('results.mjs', 'resultOf'),
    bench('results.mjs', 'linesOf'),
    bench('results.mjs', 'fromLines'),
  ])
  const first = resultOf('s', part, { ...run, samples })
  const second = resultOf('s', part, { ...run, seconds: 2, samples })

  const { results } = fromLines([JSON.stringify(machine), ...linesOf(first), ...linesOf(second)].join('\n'))

  t.deepEqual(results, [JSON.parse(JSON.stringify(second))])
})

test('bench: figures of two machines are refused in one report', async t => {
  const fromLines = await bench('results.mjs', 'fromLines')
  const other = { ...machine, node: '22.0.0' }

  const read = () => fromLines(`${JSON.stringify(machine)}\n${JSON.stringify(other)}`)

  t.throws(read, { message: /different machines: node 20\.0\.0 and 22\.0\.0/ })
  t.throws(() => fromLines(''), { message: /on which machine/ })
})

test('bench: a missed bound says by how much, an alternative is enough, and a bound without a figure is missed', async t => {
  const [resultOf, boundText] = await Promise.all([bench('results.mjs', 'resultOf'), bench('report.mjs', 'boundText')])

  const { bounds } = resultOf('s', part, { ...run, samples })

  t.deepEqual(bounds.map(boundText), [
    'goal: rdq / fastq, jobs/s, at least 2x: 1.50x, NOT MET by 25 %',
    'goal: rdq, jobs/s (or / fastq), at least 1,000 jobs/s, or at least 1.5x: 150 jobs/s, 1.50x, met',
    'bound: rdq, jobs/s, at most 120 jobs/s: 150 jobs/s, NOT MET by 25 %',
    'bound: broken, jobs/s, at least 1 jobs/s: none, NOT MEASURED',
  ])
})

test('bench: a bound that is missed narrowly is not shown as met', async t => {
  const [resultOf, boundText] = await Promise.all([bench('results.mjs', 'resultOf'), bench('report.mjs', 'boundText')])
  const bound = { kind: 'bound', contender: 'rdq', metric: 'rate', atLeast: 99 }
  const nearly = [{ contender: 'rdq', turn: 0, figures: { rate: 98.98 } }]

  const { bounds } = resultOf('s', { ...part, bounds: [bound] }, { ...run, samples: nearly })

  t.deepEqual(bounds.map(boundText), ['bound: rdq, jobs/s, at least 99 jobs/s: 98.98 jobs/s, NOT MET by 0.02 %'])
})

test('bench: a check fails by its best round, and only beyond the margin', async t => {
  const verdictOf = await bench('check.mjs', 'verdictOf')

  t.true(verdictOf({ values: [0.1, 0.71, 0.2] }, 1).passed)
  t.false(verdictOf({ values: [0.1, 0.69, 0.2] }, 1).passed)
  t.false(verdictOf({ values: [] }, 1).passed, 'what could not be measured is no success')
})
