/**
 * Kills at the first statement, the second, …, until one survives. Two run at a time, one for each core of a small
 * machine.
 */
export async function eachStatement(most: number, kill: (nth: number) => Promise<boolean>): Promise<number> {
  let nth = 1
  let over = false
  const line = async (): Promise<void> => {
    while (!over && nth <= most) if (!(await kill(nth++))) over = true
  }
  await Promise.all([line(), line()])
  return nth - 1
}
