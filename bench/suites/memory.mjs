/** The queue in memory: how many jobs a second, what a pending job weighs, and what an operation costs in a long backlog. */
import { dispatchParts } from '../memory/dispatch.mjs'
import { growthPart } from '../memory/growth.mjs'
import { waitsPart } from '../memory/waits.mjs'
import { weightPart } from '../memory/weight.mjs'

export const parts = [...dispatchParts, waitsPart, weightPart, growthPart]
