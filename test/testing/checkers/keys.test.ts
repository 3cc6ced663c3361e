import { ruleOf } from '../../../testing/history-builder.ts'
import { checkerTests } from '../../support/checker-tests.ts'

const k = { key: 'k' }

const I24 = checkerTests('I24')
I24.right('as many of a key as its width, others besides, and jobs without a key are not limited', history =>
  history
    .sharing({ width: 1 })
    .put('a', k)
    .put('b', { key: 'l' })
    .put('c')
    .put('d')
    .put('e', k)
    .start('a')
    .start('b')
    .start('c')
    .start('d')
    .end('a')
    .start('e'),
)
I24.right('a dead process runs no bodies', history =>
  history
    .sharing({ width: 1 })
    .put('a', k)
    .put('b', k)
    .start('a')
    .crash()
    .in('b')
    .sharing({ width: 1 })
    .at(5)
    .start('b'),
)
I24.right('a wider width holds from the request on, a narrower one elsewhere once it is stored', history =>
  history
    .sharing({ width: 2 })
    .put('a', k)
    .put('b', k)
    .put('c', k)
    .start('a')
    .in('b')
    .opened({ works: false })
    .at(5)
    .add({ kind: 'key', call: 90, key: 'k', width: 1 })
    .in('a')
    .at(6)
    .start('b')
    .in('b')
    .at(7)
    .add({ kind: 'answered', of: 'key', call: 90 })
    .add({ kind: 'key', call: 91, key: 'k', width: 3 })
    .in('a')
    .at(8)
    .start('c'),
)
I24.right('a width that a dead process set may be in force or not', history =>
  history
    .sharing({ width: 1 })
    .put('a', k)
    .put('b', k)
    .in('b')
    .opened({ works: false })
    .add({ kind: 'key', call: 90, key: 'k', width: 2 })
    .crash()
    .in('a')
    .at(50)
    .start('a')
    .start('b'),
)
I24.wrong('one more than the width', /job b of key k started while 1 of it ran, at a width of 1/, history =>
  history.sharing({ width: 1 }).put('a', k).put('b', k).start('a').start('b'),
)
I24.wrong('the width holds over all processes', /job b of key k started while 1 of it ran/, history =>
  history.sharing({ width: 1 }).put('a', k).put('b', k).start('a').in('b').sharing({ width: 1 }).start('b'),
)
I24.wrong(
  'a body that goes on after its job ended keeps its slot',
  /job b of key k started while 1 of it ran/,
  history => history.sharing({ width: 1 }).put('a', k).put('b', k).start('a').change('cancel', 'a').start('b'),
)
I24.wrong('what is set for a key is in force, in its process from the call on', /at a width of 0/, history =>
  history.sharing({}).put('a', k).add({ kind: 'key', call: 90, key: 'k', width: 0 }).start('a'),
)
I24.wrong('a declaration leaves the width of a single key alone', /at a width of 1/, history =>
  history
    .sharing({ width: 1 })
    .key('k', { width: 1 })
    .put('a', k)
    .put('b', k)
    .in('b')
    .sharing({ width: 5 })
    .at(5)
    .start('a')
    .start('b'),
)
I24.wrong('without the override the declared width holds again', /at a width of 1/, history =>
  history
    .sharing({ width: 1 })
    .key('k', { width: 5 })
    .key('k', { width: null })
    .put('a', k)
    .put('b', k)
    .start('a')
    .start('b'),
)
I24.wrong('clearOverrides ends what was set', /at a width of 1/, history =>
  history
    .sharing({ width: 1 })
    .key('k', { width: 5 })
    .add({ kind: 'clearOverrides', call: 90 })
    .add({ kind: 'answered', of: 'clearOverrides', call: 90 })
    .put('a', k)
    .put('b', k)
    .start('a')
    .start('b'),
)

const I25 = checkerTests('I25')
const onePer100 = { rate: { limit: 1, per: 100 } }
I25.right('each key has windows of its own, and a start exactly one window ago is outside', history =>
  history.sharing(onePer100).put('a', k).put('b', { key: 'l' }).put('c', k).start('a').start('b').at(100).start('c'),
)
I25.right('while rules are changed, a start may obey the former ones', history =>
  history
    .sharing(onePer100)
    .put('a', k)
    .put('b', k)
    .in('b')
    .opened({ works: false })
    .add({ kind: 'key', call: 90, key: 'k', rate: [ruleOf(1, 500)] })
    .in('a')
    .start('a')
    .at(100)
    .start('b'),
)
I25.right(
  'a start that was granted while no rules were declared is forgotten, wherever its first line comes',
  history =>
    history.opened().put('a', k).put('b', k).in('b').sharing(onePer100).in('a').start('a').in('b').at(50).start('b'),
)
I25.wrong('two starts of a key in a window that may have one', /2 starts lie within 100 ms/, history =>
  history.sharing(onePer100).put('a', k).put('b', k).start('a').at(99).start('b'),
)
I25.wrong('all processes share the rate of a key', /2 starts lie within 100 ms/, history =>
  history.sharing(onePer100).put('a', k).put('b', k).start('a').in('b').sharing(onePer100).at(99).start('b'),
)
I25.wrong('units of cost count for each key', /job b of key k started, and with it 12 tokens/, history =>
  history
    .sharing({ rate: { limit: 10, per: 100, of: 'tokens' } })
    .put('a', { key: 'k', cost: { tokens: 6 } })
    .put('b', { key: 'k', cost: { tokens: 6 } })
    .start('a')
    .at(50)
    .start('b'),
)
I25.wrong('the rules of a single key replace the declared ones', /2 starts lie within 400 ms/, history =>
  history
    .sharing(onePer100)
    .key('k', { rate: [ruleOf(1, 400)] })
    .put('a', k)
    .put('b', k)
    .at(10)
    .start('a')
    .at(200)
    .start('b'),
)

const I26 = checkerTests('I26')
I26.right('after a resume, and with another key paused', history =>
  history
    .sharing({})
    .key('l', { paused: true })
    .key('k', { paused: true })
    .key('k', { paused: false })
    .put('a', k)
    .start('a'),
)
I26.right('after the end of a hold, and another key during it', history =>
  history
    .sharing({})
    .put('a', k)
    .put('b', { key: 'l' })
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 50, heldKey: 'k' })
    .emitted('pending', 'a')
    .at(10)
    .start('b')
    .at(50)
    .start('a'),
)
I26.wrong('a paused key starts nothing, in its process from the call on', /while its key k was paused/, history =>
  history.sharing({}).put('a', k).add({ kind: 'key', call: 90, key: 'k', paused: true }).start('a'),
)
I26.wrong('a pause holds in every process once it is stored', /while its key k was paused/, history =>
  history.sharing({}).put('a', k).key('k', { paused: true }).in('b').sharing({}).at(5).start('a'),
)
I26.wrong('a held key starts nothing', /job b started before 50 ms, until when k is held/, history =>
  history
    .sharing({})
    .put('a', k)
    .put('b', k)
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 50, heldKey: 'k' })
    .emitted('pending', 'a')
    .at(10)
    .start('b'),
)
