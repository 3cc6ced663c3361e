import { storeContract } from '../../../testing/contract/store/index.ts'
import { lateNaiveStores, naiveStores } from '../../support/naive-stores.ts'
import { holds } from '../../support/run-contract.ts'

holds('naive', storeContract, naiveStores)
holds('naive, answering later', storeContract, lateNaiveStores)
