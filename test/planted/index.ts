/** All planted bugs. `npm run planted` plants each by itself and prints which test finds it. */
import { handedOver } from './handed-over.ts'
import { inAdaptive } from './in-adaptive.ts'
import { inContract } from './in-contract.ts'
import { inEndings } from './in-endings.ts'
import { inFile } from './in-file.ts'
import { inGlobalWidth } from './in-global-width.ts'
import { inIsolates } from './in-isolates.ts'
import { inKeys } from './in-keys.ts'
import { inMemory } from './in-memory.ts'
import { inNamedRules } from './in-named-rules.ts'
import { inQueue } from './in-queue.ts'
import { inRate } from './in-rate.ts'
import type { Plant } from './plant.ts'

export const plants: readonly Plant[] = [
  ...handedOver,
  ...inQueue,
  ...inRate,
  ...inMemory,
  ...inKeys,
  ...inGlobalWidth,
  ...inNamedRules,
  ...inFile,
  ...inEndings,
  ...inContract,
  ...inAdaptive,
  ...inIsolates,
]
