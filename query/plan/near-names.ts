/** Names like a name that was not found, nearest first, for the error message. */
export function nearNames(wanted: string, names: readonly string[], limit = 3): readonly string[] {
  const lower = wanted.toLowerCase();
  return names
    .slice(0, 2000)
    .map((name) => ({ name, distance: distance(lower, name.toLowerCase()) }))
    .filter((near) => near.distance <= Math.max(2, lower.length / 3))
    .sort((left, right) => left.distance - right.distance)
    .slice(0, limit)
    .map((near) => near.name);
}

/** Levenshtein distance of the first 64 characters; zero for a part of the other. */
function distance(left: string, right: string): number {
  if (left.length > 2 && right.length > 2 && (left.includes(right) || right.includes(left))) return 0;
  const a = left.slice(0, 64);
  const b = right.slice(0, 64);
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
