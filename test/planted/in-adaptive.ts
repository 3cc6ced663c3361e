/**
 * Bugs planted in what services say: by how runs end (lib/adaptive/), and by headers (lib/settle/response-headers.ts).
 */
import type { Plant } from './plant.ts'

export const inAdaptive: readonly Plant[] = [
  {
    name: 'all bodies of the queue count as those of an adapted key',
    file: 'lib/control/steering.ts',
    edits: [{ find: 'listener.running?.size ?? launcher.running', replace: 'launcher.running' }],
    why: 'the width of a key grows though its own slots are not taken',
    finders: ['flow/adaptive-key'],
  },
  {
    name: 'runs of other keys feed the controller of a key',
    file: 'lib/control/steering.ts',
    edits: [
      {
        find: 'return key === undefined ? undefined : this.listeners.get(key)',
        replace: 'return key === undefined ? undefined : [...this.listeners].find(([of]) => of !== undefined)?.[1]',
      },
    ],
    why: 'the service of one tenant decides the width of another',
    finders: ['flow/adaptive-key'],
  },
  {
    name: 'a controller that was stopped ends the one after it',
    file: 'lib/control/steering.ts',
    edits: [{ find: 'if (watch?.listeners.get(this.key) !== this.#listener) return', replace: '' }],
    why: 'the width is no longer adapted, without a word',
    finders: ['flow/adaptive'],
  },
  {
    name: 'a Throttled for the key whose width is adapted is ignored',
    file: 'lib/adaptive/classify.ts',
    edits: [{ find: 'heldKey === undefined || heldKey === adaptedKey', replace: 'heldKey === undefined' }],
    why: 'the service of a key refuses work, and its width grows',
    finders: ['lib/adaptive/classify'],
  },
  {
    name: 'Throttled with key true holds the queue',
    file: 'lib/settle/error-settlement.ts',
    edits: [{ find: 'key === true ? facts.key : key', replace: 'key === true ? undefined : key' }],
    why: 'the 429 of one tenant stops all others',
    finders: ['lib/settle/error-settlement'],
  },
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
    edits: [
      { find: 'this.#startedAt.set(run, this.#parts.launcher.clock.now())', replace: 'this.#startedAt.set(run, 0)' },
    ],
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
  {
    name: 'instants in headers count from our clock',
    file: 'lib/settle/response-headers.ts',
    edits: [{ find: "httpDateMs(headers.get('date') ?? '', now) ?? now", replace: 'now' }],
    why: 'a clock that is wrong by an hour waits for an hour, or not at all',
    finders: ['lib/settle/response-headers'],
  },
  {
    name: 'a limit that is not used up makes a queue wait',
    file: 'lib/settle/response-headers.ts',
    edits: [{ find: 'if ((limit.remaining ?? 0) > 0 || ', replace: 'if (' }],
    why: 'after each answer the queue waits for the end of the window',
    finders: ['lib/settle/response-headers'],
  },
  {
    name: 'headers of any length are read',
    file: 'lib/settle/response-headers.ts',
    edits: [{ find: 'if (list.length <= maxLength) found.set', replace: 'found.set' }],
    why: 'a hostile header blocks the event loop for seconds',
    finders: ['lib/settle/response-headers'],
  },
]
