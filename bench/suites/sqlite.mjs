/**
 * The queue on one SQLite file: what a put costs, jobs a second from put to settled, what a long backlog costs, several
 * processes on the file, and how soon a dead one's jobs run again.
 *
 * Beside it stands the least that the same work can cost: the probe (bench/probe/) in a thread, and the same statements
 * inline.
 */
import { idlePutPart } from '../sqlite/idle.mjs'
import { jobsPart } from '../sqlite/jobs.mjs'
import { processesPart } from '../sqlite/processes.mjs'
import { putsPart } from '../sqlite/puts.mjs'
import { recoveryPart } from '../sqlite/recovery.mjs'
import { standingPart } from '../sqlite/standing.mjs'

export const parts = [putsPart, idlePutPart, jobsPart, standingPart, processesPart, recoveryPart]
