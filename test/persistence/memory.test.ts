import { MemoryBacklog } from '../../persistence/memory.ts'
import { backlogContract } from '../contract/backlog.ts'

backlogContract('memory', () => new MemoryBacklog())
