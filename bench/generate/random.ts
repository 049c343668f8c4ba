/** Mulberry32: a 32-bit generator of good quality for test data. The same seed gives the same numbers in [0, 1). */
export function mulberry32(seed: number): () => number {
  const streams = Int32Array.of(seed);
  return () => nextUniform(streams, 0);
}

/** The next number in [0, 1) of one of many generators, whose states stand in `streams`. */
export function nextUniform(streams: Int32Array, stream: number): number {
  const state = ((streams[stream] as number) + 0x6d2b79f5) | 0;
  streams[stream] = state;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

/** About normal(0, 1): the sum of four uniforms, moved and scaled. */
export function nextNormal(streams: Int32Array, stream: number): number {
  let sum = -2;
  for (let i = 0; i < 4; i++) sum += nextUniform(streams, stream);
  return sum * Math.sqrt(3);
}

/** States for generators of their own for each of `count` things, far apart from one another. */
export function streamsOf(seed: number, count: number): Int32Array {
  const streams = Int32Array.of(seed);
  return Int32Array.from({ length: count }, () => Math.floor(nextUniform(streams, 0) * 4_294_967_296) | 0);
}

/** Puts the first `length` items in random order (Fisher and Yates). */
export function shuffle<Item>(items: Item[], length: number, random: () => number): void {
  for (let last = length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const item = items[last] as Item;
    items[last] = items[other] as Item;
    items[other] = item;
  }
}

/** One of the items. */
export function pick<Item>(items: readonly Item[], random: () => number): Item {
  return items[Math.floor(random() * items.length)] as Item;
}
