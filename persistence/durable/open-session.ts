/** Takes up a name in a durable backlog: all that a backlog's `attach` has left to do once it has a link to its store. */
import type { Declaration, Shelf } from '../../lib/backlog.ts'
import { LazySession } from './lazy-session.ts'
import type { Link } from './link.ts'
import { DurableSession, type SessionMeans } from './session.ts'

/**
 * Enters the link and attaches the name.
 *
 * Rejects with OptionError, QueueNameTakenError, and what the connection or the store refuses with.
 */
export async function openSession(declaration: Declaration, link: Link, means?: SessionMeans): Promise<Shelf> {
  const session = new DurableSession(declaration, means)
  link.enter(session, declaration.clock)
  if (link.outside) declaration.clock.outside?.(link.opened)
  return startSession(session, link)
}

/** The same for a session that has entered the link already, so that it holds its name. */
export async function startSession(session: DurableSession, link: Link): Promise<Shelf> {
  try {
    await link.opened
  } catch (error) {
    link.withdraw(session)
    throw error
  }
  try {
    await session.open(link)
    return session.made ? session : new LazySession(session)
  } catch (error) {
    await link.leave(session, false)
    throw error
  }
}
