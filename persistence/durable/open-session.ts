/**
 * Opens a name in a durable backlog: all that the `attach` of a backlog has left to do once it has a link to its store.
 */
import type { BacklogSession, SessionOptions } from '../../lib/backlog.ts'
import { LazySession } from './lazy-session.ts'
import type { Link } from './link.ts'
import { DurableSession, type SessionMeans } from './session.ts'

/**
 * Enters the link and attaches the name.
 *
 * Rejects with OptionError, QueueNameTakenError, and the errors of the connection and the store.
 */
export async function openSession(options: SessionOptions, link: Link, means?: SessionMeans): Promise<BacklogSession> {
  const session = new DurableSession(options, means)
  link.enter(session, options.clock)
  if (link.outside) options.clock.outside?.(link.opened)
  return startSession(session, link)
}

/** The same for a session that has entered the link already, so that it has reserved its name. */
export async function startSession(session: DurableSession, link: Link): Promise<BacklogSession> {
  try {
    await link.opened
  } catch (error) {
    link.withdraw(session)
    throw error
  }
  try {
    await session.open(link)
    return session.exists ? session : new LazySession(session)
  } catch (error) {
    await link.leave(session, false)
    throw error
  }
}
