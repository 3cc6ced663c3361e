/** A share of `npm run soak -- --only service`, in a process of its own. */
import { join } from 'node:path'
import test from 'ava'
import { nodeGroup } from '../support/process-group.ts'
import { root } from '../support/repository.ts'

test('soak: the memory of a service for failures, ids and dropped queues stops growing', async t => {
  const args = [join(root, 'build/test/soak/run.js'), '--only', 'service', '--minutes', '0.04']

  const { code, output } = await nodeGroup(args, { cwd: root, limitMs: 120_000 })

  t.is(code, 0, output)
  t.regex(output, /service: all is back where it was/)
})
