import { storeContract } from '../../../testing/contract/store/index.ts'
import { holds } from '../../support/contract.ts'
import { naiveStores } from '../../support/naive-stores.ts'

holds('naive', storeContract, naiveStores)
