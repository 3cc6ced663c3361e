import test from 'ava'
import type { Settlement } from '../../../lib/backlog.ts'
import { OutgoingExchange } from '../../../lib/dispatch/exchange.ts'

const settled = (fence: number): Settlement => ({ fence }) as Settlement

test('exchange: refused reports are sent again before newer ones', t => {
  const refused = new OutgoingExchange()
  refused.settled.push(settled(1), settled(2))
  refused.confirmed.push({ grant: 1, at: 1 })
  const next = new OutgoingExchange()
  next.settled.push(settled(3))
  next.confirmed.push({ grant: 2, at: 2 })

  next.prepend(refused)

  t.deepEqual(
    next.settled.map(({ fence }) => fence),
    [1, 2, 3],
  )
  t.deepEqual(
    next.confirmed.map(({ grant }) => grant),
    [1, 2],
  )
})
