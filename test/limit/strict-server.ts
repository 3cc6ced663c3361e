/** A process with a strict server on loopback. It tells its port, and each response says when the request arrived. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { StrictServer } from '../support/strict-server.ts'

const [limit, perMs] = process.argv.slice(2).map(Number) as [number, number]
const strict = new StrictServer(limit, perMs)

const server = createServer((_, response) => {
  const at = machineMs()
  const waitMs = strict.arrive(at)
  response.writeHead(waitMs > 0 ? 429 : 200, { 'x-arrived-at': at, 'x-wait': Math.ceil(waitMs) }).end()
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())

/** The steady clock of the machine, which all its processes share. */
function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
