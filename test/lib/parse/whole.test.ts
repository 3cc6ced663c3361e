import test from 'ava'
import { checkWhole } from '../../../lib/parse/whole.ts'

test('whole: whole numbers from the least on, and Infinity, and nothing else', t => {
  for (const value of [1, 2, 1e15, Infinity]) t.is(checkWhole('size', value, 1), value)
  for (const value of [0, -1, 1.5, Number.NaN, null, {}, 2 ** 60]) {
    t.throws(() => checkWhole('size', value, 1), {
      code: 'OPTION',
      message: /^size must be a whole number of 1 or more/,
    })
  }
  t.throws(() => checkWhole('size', '5', 1), { message: /did you mean the number 5\?$/ })
})
