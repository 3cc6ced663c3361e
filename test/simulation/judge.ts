/** What a history must not contain, and what must be found at the end. */
import type { World } from './world.ts'

export function judge(world: World): string[] {
  const { entries } = world.history
  const wrong: string[] = []
  const accepted = new Set<string>()
  for (const entry of entries) if (entry.kind === 'accepted') accepted.add(entry.job)
  const inventory = entries.find(entry => entry.kind === 'inventory')
  if (inventory?.kind === 'inventory' && !world.lossy) {
    const sum = Object.values(inventory.counts).reduce((a, b) => a + b, 0)
    if (world.config.keepMs === 600_000 && sum !== inventory.jobs.length)
      wrong.push(`${sum} counted, and ${inventory.jobs.length} are there`)
  }
  return wrong
}
