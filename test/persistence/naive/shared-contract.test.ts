import { sharedBacklogContract } from '../../../testing/index.ts'
import { holds } from '../../support/run-contract.ts'
import { lateSharedNaive, sharedNaive } from '../../support/shared-naive.ts'

holds('naive', sharedBacklogContract, sharedNaive)
holds('naive, answering later', sharedBacklogContract, lateSharedNaive)
