/** A bug that is planted in a copy of the project is found by the test that ought to find it. */
import test from 'ava'
import { plants } from './index.ts'
import type { Plant } from './plant.ts'
import { PlantedCopy } from './planted-copy.ts'

test('planted: a bug is found by its finder, what is no bug is not, and one that does not compile is refused', async t => {
  t.timeout(240_000)
  const copy = new PlantedCopy()
  t.teardown(() => copy.remove())
  const heap = plants.find(({ file }) => file === 'persistence/memory/heap.ts') as Plant
  const head = { find: 'export class Heap {' }
  const harmless = { ...heap, edits: [{ ...head, replace: 'export class Heap {\n' }] }
  const broken = { ...heap, edits: [{ ...head, replace: 'export class Heap { x: string = 1' }] }
  const found: (string | undefined)[] = []

  for (const plant of [heap, harmless]) {
    await copy.plant(plant)
    found.push((await copy.search(['persistence/memory/heap'], 60_000)).found)
  }

  const title = 'heap: jobs leave in the order of a sorted array, also after removal from the middle and a second push'
  t.deepEqual(found, [title, undefined])
  await t.throwsAsync(copy.plant(broken), { message: /does not compile/ })
})
