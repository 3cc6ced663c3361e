import { sharedBacklogContract } from '../../../testing/index.ts'
import { holds } from '../../support/run-contract.ts'
import { sharedNaive } from '../../support/shared-naive.ts'

holds('naive', sharedBacklogContract, sharedNaive)
