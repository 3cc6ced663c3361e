import { checkerTests } from '../../support/checker-tests.ts'

const two = { width: 10, globalWidth: 2 }

const I28 = checkerTests('I28')
I28.right('as many as the global width over all processes, and a dead one runs none', history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .in('b')
    .opened(two)
    .start('b')
    .in('a')
    .crash()
    .in('b')
    .start('c'),
)
I28.right('what was set stays over the same declaration', history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .put('c')
    .add({ kind: 'globalWidth', width: 3 })
    .in('b')
    .opened(two)
    .at(5)
    .start('a')
    .start('b')
    .start('c'),
)
I28.right('a lower one holds in other processes once one of them reads it', history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .in('b')
    .opened(two)
    .add({ kind: 'globalWidth', width: 1 })
    .in('a')
    .at(5)
    .start('a')
    .start('b'),
)
I28.right('one that could not be stored is not in force', history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .add({ kind: 'globalWidth', width: 0 })
    .emitted('globalWidth', undefined, { width: 0 })
    .emitted('globalWidth', undefined, { width: 2 })
    .emitted('error', undefined, { code: 'OUTCOME_UNKNOWN' })
    .start('a')
    .start('b')
    .at(5)
    .add({ kind: 'globalWidth', width: 4 }),
)
I28.wrong('one more than the global width, in another process', /job c started while 2 ran in all processes/, history =>
  history.opened(two).put('a').put('b').put('c').start('a').start('b').in('b').opened(two).at(5).start('c'),
)
I28.wrong('what was set here holds from the call on', /at a global width of 1/, history =>
  history.opened(two).put('a').put('b').start('a').add({ kind: 'globalWidth', width: 1 }).start('b'),
)
I28.wrong('what another process has set holds where it is read', /at a global width of 1/, history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .in('b')
    .opened(two)
    .add({ kind: 'globalWidth', width: 1 })
    .in('a')
    .emitted('globalWidth', undefined, { width: 1 })
    .at(5)
    .start('a')
    .start('b'),
)
I28.wrong('clearOverrides goes back to what was declared', /at a global width of 2/, history =>
  history
    .opened(two)
    .put('a')
    .put('b')
    .put('c')
    .add({ kind: 'globalWidth', width: 5 })
    .add({ kind: 'clearOverrides', call: 90 })
    .start('a')
    .start('b')
    .start('c'),
)
