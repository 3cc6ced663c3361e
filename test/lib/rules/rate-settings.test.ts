import test from 'ava'
import { declaredAfterCommand, newDeclaration } from '../../../lib/rules/rate-settings.ts'

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
