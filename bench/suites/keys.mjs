/** Keys: what a claim costs with many of them, and jobs of many keys beside peers that have limits per key. */
import { claimsParts } from '../keys/claims.mjs'
import { peersPart } from '../keys/peers.mjs'

export const parts = [...claimsParts, peersPart]
