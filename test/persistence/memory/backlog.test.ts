import { MemoryBacklog } from '../../../persistence/memory/backlog.ts'
import { backlogContract, RemoteBacklog } from '../../../testing/index.ts'
import { holds } from '../../support/run-contract.ts'

holds('memory', backlogContract, { make: () => new MemoryBacklog() })

let seed = 0
holds('remote', backlogContract, {
  make: () => new RemoteBacklog(new MemoryBacklog(), { seed: ++seed, losesOneIn: 6 }),
})
