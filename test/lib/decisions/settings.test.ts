import test from 'ava'
import { overriddenOf } from '../../../lib/decisions/settings.ts'

test('settings: a setting that differs from its declaration is overridden, and no other is', t => {
  const none = { globalWidth: Infinity, declaredGlobalWidth: undefined }

  t.is(overriddenOf(none, false), undefined)
  t.is(overriddenOf({ globalWidth: 3, declaredGlobalWidth: 3 }, false), undefined)
  t.deepEqual(overriddenOf(none, true), { rate: true, globalWidth: false })
  t.deepEqual(overriddenOf({ ...none, globalWidth: 3 }, false), { rate: false, globalWidth: true })
  t.deepEqual(overriddenOf({ ...none, declaredGlobalWidth: 3 }, false), { rate: false, globalWidth: true })
})
