import { MemoryBacklog } from '../../../persistence/memory/backlog.ts'
import { backlogContract } from '../../contract/backlog.ts'

backlogContract('memory', () => new MemoryBacklog())
