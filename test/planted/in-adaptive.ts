/** Bugs planted in the controllers of the width (lib/adaptive/). */
import type { Plant } from './plant.ts'

export const inAdaptive: readonly Plant[] = [
  {
    name: 'each overloaded run narrows the width',
    file: 'lib/adaptive/aimd.ts',
    edits: [
      {
        find: 'startedAt < this.#decreasedAt ? undefined : this.#shrink',
        replace: 'startedAt < -1 ? undefined : this.#shrink',
      },
    ],
    why: 'a hundred runs that fail together take the width to its minimum',
    finders: ['lib/adaptive/aimd'],
  },
  {
    name: 'the width grows though it is not used',
    file: 'lib/adaptive/aimd.ts',
    edits: [{ find: 'this.#peak < width || ', replace: '' }],
    why: 'a quiet night widens the queue to its maximum, and the morning overruns the service',
    finders: ['lib/adaptive/aimd'],
  },
  {
    name: 'runs from before the last change count for the next',
    file: 'lib/adaptive/aimd.ts',
    edits: [{ find: 'if (startedAt < this.#changedAt) return undefined', replace: '' }],
    why: 'growth does not wait to see what the last growth did',
    finders: ['lib/adaptive/aimd'],
  },
  {
    name: 'gradient without probes',
    file: 'lib/adaptive/gradient.ts',
    edits: [{ find: 'if (this.#sinceProbe >= probeEvery) {', replace: 'if (this.#sinceProbe < 0) {' }],
    why: 'the baseline rises with the queue in the service, and the width creeps up',
    finders: ['lib/adaptive/gradient', 'lib/adaptive/controller'],
  },
  {
    name: 'a baseline that is never out of date',
    file: 'lib/adaptive/gradient.ts',
    edits: [{ find: 'if (!cut || width > cut.width * largeCut) return', replace: 'if (!cut || width >= 0) return' }],
    why: 'a service that has become slower looks overloaded, and the width collapses',
    finders: ['lib/adaptive/gradient', 'lib/adaptive/controller'],
  },
  {
    name: 'gradient ignores overloads',
    file: 'lib/adaptive/gradient.ts',
    edits: [{ find: 'startedAt < this.#decreasedAt ? undefined : this.#overloaded(endedAt)', replace: 'undefined' }],
    why: 'refused requests take no time, so the width grows while the service refuses them',
    finders: ['lib/adaptive/gradient'],
  },
  {
    name: 'the run time includes the wait in the queue',
    file: 'lib/control/steering.ts',
    edits: [{ find: 'this.#startedAt.set(run, this.clock.now())', replace: 'this.#startedAt.set(run, 0)' }],
    why: 'a long backlog looks like a slow service',
    finders: ['flow/adaptive'],
  },
  {
    name: 'a width out of bounds is brought back',
    file: 'lib/adaptive/adapt.ts',
    edits: [{ find: '|| width < bounds.min || width > bounds.max', replace: '' }],
    why: 'a queue that was held by a width of 0 starts again by itself',
    finders: ['flow/adaptive'],
  },
]
