import test from 'ava'
import { EndingTexts } from '../../../lib/settle/ending-texts.ts'

function texts(durable: boolean, keepsResults: boolean) {
  const errors: unknown[] = []
  const of = (
    kind: 'finished' | 'failed' | 'snooze',
    ending: { value?: unknown; error?: unknown },
  ): string | undefined => all.of({ kind, value: ending.value, error: ending.error })
  const all = new EndingTexts({ report: error => errors.push(error) }, durable, keepsResults)
  return { of, errors }
}

test('ending texts: a result has one where results are kept, an error where the backlog is durable', t => {
  t.is(texts(true, true).of('finished', { value: [1] }), '[1]')
  t.is(texts(true, false).of('finished', { value: [1] }), undefined)
  t.regex(texts(true, false).of('failed', { error: new Error('no') }) as string, /"message":"no"/)
  t.is(texts(false, true).of('failed', { error: new Error('no') }), undefined)
  t.is(texts(true, true).of('snooze', { error: new Error('no') }), undefined)
})

test('ending texts: a result that cannot be stored has none, and the first such result is reported', t => {
  const { of, errors } = texts(true, true)

  t.is(of('finished', { value: { at: new Date(0) } }), undefined)
  t.is(of('finished', { value: 1n }), undefined)

  t.is(errors.length, 1)
  t.like(errors[0], { code: 'PAYLOAD', path: 'result.at' })
})
