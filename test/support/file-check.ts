/**
 * Examines a file of the SQLite backlog and lists its faults: by SQLite's own check, the places of jobs, and the
 * counters.
 */
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'

/** Where a job is: in exactly one of these, or in a stretch. */
const places = ['rdq_ready', 'rdq_delayed', 'rdq_pending_by_key', 'rdq_suspect', 'rdq_underway', 'rdq_ended'] as const
/** Where one is that has not ended, with a row of its own; what was cleared ends when it is swept out. */
const waiting = places.filter(place => place !== 'rdq_ended')

export function checkFile(path: string): string[] {
  const db = new (loadSqlite())(path, { timeout: 5_000 })
  try {
    const wrong: string[] = []
    const check = db.pragma('integrity_check', { simple: true })
    if (check !== 'ok') wrong.push(`integrity: ${check}`)
    if (!db.prepare(`select 1 from sqlite_schema where name = 'rdq_rate_start'`).get()) return wrong
    // One look at one instant, for others may be at work.
    db.exec('begin')
    const inStretch = 'rdq_ready_range s join rdq_job j on j.seq >= s.seq and j.seq < s.seq + s.jobs'
    const all = [
      ...places.map(place => `select seq, '${place}' as place from ${place}`),
      `select j.seq, 'rdq_ready_range' from ${inStretch}`,
    ].join(' union all ')
    const rows = db
      .prepare(`
        select j.seq, count(p.seq) as places, group_concat(p.place) as names
        from rdq_job j left join (${all}) p on p.seq = j.seq group by j.seq having count(p.seq) != 1`)
      .all() as { seq: number; places: number; names: string | null }[]
    for (const { seq, places: found, names } of rows) wrong.push(`job ${seq} is in ${found} places: ${names}`)
    for (const place of places) {
      const lost = db.prepare(`select seq from ${place} where seq not in (select seq from rdq_job)`).all()
      if (lost.length > 0) wrong.push(`${place} has ${lost.length} rows without a job`)
    }
    const short = db
      .prepare(`select sum(jobs) - (select count(*) from ${inStretch}) from rdq_ready_range`)
      .pluck()
      .get()
    if (short !== null && short !== 0) wrong.push(`stretches have ${short} jobs too many`)
    const unfound = db
      .prepare(`
        select seq from rdq_job j where fingerprint is null and not exists (
          select 1 from rdq_generated_ids m where m.queue = j.queue and j.seq >= m.seq and j.seq < m.seq + m.jobs)`)
      .all()
    if (unfound.length > 0) wrong.push(`${unfound.length} jobs cannot be found by their made ids`)
    const unlisted = db
      .prepare(`
        select seq from rdq_job where key is not null and listed = 0 and seq not in (select seq from rdq_pending_by_key)
          and seq not in (select seq from rdq_underway where key is not null) and seq not in (select seq from rdq_ended)`)
      .all()
    if (unlisted.length > 0) wrong.push(`${unlisted.length} jobs cannot be found by their keys`)
    const counters = db
      .prepare(`
        select name, pending, delayed, underway, suspects,
          (select count(*) from rdq_job j where j.queue = q.queue and j.seq in (
            ${waiting.map(place => `select seq from ${place} where crashes > 0`).join(' union all ')})) as is_suspects,
          (select count(*) from rdq_ready r where r.epoch = q.epoch) + (select count(*) from rdq_pending_by_key a where a.epoch = q.epoch)
            + (select count(*) from rdq_suspect p where p.epoch = q.epoch)
            + (select coalesce(sum(jobs), 0) from rdq_ready_range s where s.epoch = q.epoch) as is_pending,
          (select count(*) from rdq_delayed d where d.epoch = q.epoch) as is_delayed,
          (select count(*) from rdq_underway u where u.queue = q.queue) as is_underway,
          unreported, (select count(*) from rdq_crash_report n where n.queue = q.queue and n.exchange = 0) as is_unreported
        from rdq_queue q`)
      .all() as Record<string, number | string>[]
    for (const row of counters) {
      for (const state of ['pending', 'delayed', 'underway', 'suspects', 'unreported']) {
        const [counted, is] = [row[state], row[`is_${state}`]]
        if (counted !== is) wrong.push(`queue ${row.name} counts ${counted} ${state} and has ${is}`)
      }
    }
    db.exec('commit')
    return wrong
  } finally {
    db.close()
  }
}

/** How many jobs are ready in the file. */
export function readyIn(path: string): number {
  const db = new (loadSqlite())(path, { timeout: 5_000 })
  try {
    return db
      .prepare(`
        select (select count(*) from rdq_ready) + (select count(*) from rdq_suspect) + coalesce(sum(jobs), 0)
        from rdq_ready_range`)
      .pluck()
      .get() as number
  } finally {
    db.close()
  }
}
