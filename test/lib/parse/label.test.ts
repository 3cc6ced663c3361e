import test from 'ava'
import { isLabel, isWellFormed } from '../../../lib/parse/label.ts'

test('label: 1 to 200 characters that a file gives back as they were', t => {
  for (const good of ['a', 'x'.repeat(200), 'nul \0', '💥', 'e\u0301', '\ufffd']) t.true(isLabel(good), good)
  for (const bad of ['', 'x'.repeat(201), 'Ann 💥'.slice(0, 5), '\udca5', null, undefined, 5, ['a']])
    t.false(isLabel(bad))
})

test('label: half of a surrogate pair is found anywhere', t => {
  t.false(isWellFormed(`${'x'.repeat(1_000)}\ud83d${'y'.repeat(1_000)}`))
  t.true(isWellFormed(''))
})
