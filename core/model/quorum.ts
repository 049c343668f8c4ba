/** How many of so many owners are a majority: any two such sets of them share one. */
export function quorumOf(owners: number): number {
  return Math.floor(owners / 2) + 1;
}
