/** The list of planted bugs matches the source. */
import test from 'ava'
import { filesIn, textOf } from '../support/repository.ts'
import { testFiles } from './find-plants.ts'
import { plants } from './index.ts'
import { type Plant, plantedIn } from './plant.ts'

test('planted: there are at least 24, each with a name of its own, in a source of its own', t => {
  const sources = new Set(filesIn('lib', 'persistence', 'testing'))
  const names = plants.map(({ name }) => name)

  t.true(plants.length >= 24)
  t.is(new Set(names).size, names.length)
  t.deepEqual(
    plants.filter(({ file }) => !sources.has(file)).map(({ name }) => name),
    [],
  )
})

for (const plant of plants) {
  test(`planted: '${plant.name}' still has its place, once`, t => {
    t.notThrows(() => plantedIn(textOf(plant.file), plant))
  })
}

test('planted: a replacement uses only private members that its file has', t => {
  const unknown = plants.flatMap(({ name, file, edits }) =>
    edits
      .flatMap(({ replace }) => [...replace.matchAll(/this\.(#\w+)/g)].map(([, member = '']) => member))
      .filter(member => !textOf(file).includes(member))
      .map(member => `${name}: ${member}`),
  )
  t.deepEqual(unknown, [])
})

test('planted: each finder is a test file that there is', t => {
  const known = new Set(testFiles())
  const missing = plants.flatMap(({ name, finders }) =>
    finders.filter(finder => !known.has(finder)).map(finder => `${name}: ${finder}`),
  )

  t.deepEqual(missing, [])
  t.true(plants.every(({ finders }) => finders.length > 0))
})

const [change] = plants as readonly [Plant]
const sample: Plant = { ...change, edits: [{ find: 'b', replace: 'x' }] }

test('planted: a change whose text is gone, stands twice or changes nothing is refused', t => {
  t.is(plantedIn('abc', sample), 'axc')
  t.throws(() => plantedIn('ac', sample), { message: /stands 0 times/ })
  t.throws(() => plantedIn('abcb', sample), { message: /stands 2 times/ })
  t.throws(() => plantedIn('abc', { ...sample, edits: [{ find: 'b', replace: 'b' }] }), { message: /changes nothing/ })
})
