/** Sets the journeys that are imported after this on a backlog in memory that seems to be a network away. */
import { MemoryBacklog } from '../../lib/index.ts'
import { RemoteBacklog } from '../../testing/index.ts'
import { runOn } from './backlog-under-test.ts'

let seed = 0

runOn({
  name: 'remote',
  durable: false,
  make: (json = false) => new RemoteBacklog(new MemoryBacklog({ json }), { seed: ++seed, losesOneIn: 8 }),
  apart: {
    'F47: a job that is cancelled between its claim and its launch is not called, and can be put anew':
      'the launch comes before the answer of the backlog',
    'a long-lived queue keeps no store of the request in which it was created':
      'looks at what the process holds, in which all journeys of this file run at once',
    'a backlog that cannot be opened is reported once: as a rejection, or else as a warning':
      'counts the warnings of the process, in which all journeys of this file run',
  },
})
