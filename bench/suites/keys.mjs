/** Keys: what a claim costs with many of them, and jobs of many keys beside peers that have limits per key. */
import { claimsParts } from '../keys/claims.mjs'

export const parts = [...claimsParts]
