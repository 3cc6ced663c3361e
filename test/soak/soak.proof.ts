/** A short soak of each kind, in a process of its own; and that a comparison which finds nothing grown can find it. */
import { join } from 'node:path'
import test from 'ava'
import { nodeGroup } from '../support/process-group.ts'
import { root } from '../support/repository.ts'
import { compare } from './measure.ts'

test('soak: growth beyond a bound is found, also from zero', t => {
  const grown = (before: Record<string, number>, after: Record<string, number>): string[] =>
    compare(before, after)
      .filter(({ holds }) => !holds)
      .map(({ measure }) => measure)

  t.deepEqual(grown({ 'heap, MiB': 7, 'open files': 9 }, { 'heap, MiB': 9, 'open files': 9 }), [])
  t.deepEqual(grown({ 'heap, MiB': 7, 'open files': 9 }, { 'heap, MiB': 11, 'open files': 10 }), [
    'heap, MiB',
    'open files',
  ])
  t.deepEqual(grown({}, { 'rows of rdq_job': 1, 'active FSReqCallback': 1 }), [
    'rows of rdq_job',
    'active FSReqCallback',
  ])
})

test('soak: after a load all measures return to where they were, in memory, in a file and in a service', async t => {
  t.timeout(200_000)
  const seed = 11
  const args = [join(root, 'build/test/soak/run.js'), '--minutes', '0.33', '--seed', String(seed)]

  const { code, output, late } = await nodeGroup(args, { cwd: root, limitMs: 180_000 })

  t.is(code, 0, `${late ? 'not done in time' : 'again with'} --seed ${seed}\n${output}`)
  t.is(output.match(/all is back where it was/g)?.length, 3, output)
})
