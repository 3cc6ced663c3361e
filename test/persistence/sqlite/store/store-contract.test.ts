import { storeContract } from '../../../../testing/contract/store/index.ts'
import { holds } from '../../../support/run-contract.ts'
import { sqliteStores } from '../../../support/sqlite-stores.ts'

holds('sqlite', storeContract, sqliteStores)
