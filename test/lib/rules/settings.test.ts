import test from 'ava'
import { declaredAfterCommand, declaredRules, newDeclaration, overriddenOf } from '../../../lib/rules/settings.ts'

const slow = [{ limit: 1, perMs: 1_000 }] as never
const quick = [{ limit: 9, perMs: 1_000 }] as never

test('rate settings: the first declaration counts, and the same one again does not', t => {
  const declared = newDeclaration(slow, undefined)

  t.is(declared, JSON.stringify(slow))
  t.is(newDeclaration(slow, declared), undefined)
  t.is(newDeclaration(quick, declared), JSON.stringify(quick))
})

test('rate settings: a queue that declares nothing changes nothing', t => {
  t.is(newDeclaration(undefined, undefined), undefined)
  t.is(newDeclaration(undefined, JSON.stringify(slow)), undefined)
})

test('rate settings: an override outlives the declaration that it overrides', t => {
  const declared = declaredAfterCommand(quick, newDeclaration(slow, null))

  t.is(newDeclaration(slow, declared), undefined)
})

test('rate settings: without rules the override is cleared, and the old declaration counts again', t => {
  const declared = declaredAfterCommand([], newDeclaration(slow, null))

  t.is(newDeclaration(slow, declared), JSON.stringify(slow))
})

test('settings: what is in force otherwise than declared is overridden, and nothing else', t => {
  const rule = [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined }]
  const declared = JSON.stringify(rule)
  const none = { rules: [], declared: undefined, globalWidth: Infinity, declaredGlobalWidth: undefined }

  t.is(overriddenOf(none), undefined)
  t.is(overriddenOf({ ...none, declared: null }), undefined)
  t.is(overriddenOf({ rules: rule, declared, globalWidth: 3, declaredGlobalWidth: 3 }), undefined)
  t.deepEqual(overriddenOf({ ...none, rules: rule }), { rate: true, globalWidth: false })
  t.deepEqual(overriddenOf({ ...none, declared }), { rate: true, globalWidth: false })
  t.deepEqual(overriddenOf({ ...none, globalWidth: 3 }), { rate: false, globalWidth: true })
  t.deepEqual(overriddenOf({ ...none, declaredGlobalWidth: 3 }), { rate: false, globalWidth: true })
})

test('settings: the rules that were declared are those that are read again', t => {
  const rule = [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined }]

  t.deepEqual(declaredRules(JSON.stringify(rule)), rule)
  t.deepEqual(declaredRules(null), [])
})
