/**
 * HOT KERNEL. Finds the distinct 64-bit values of a column by their bits (so that -0 and each NaN stay themselves)
 * with an open-addressing hash table that grows with what it finds, to stay in the CPU's cache while that is little.
 */

/** Distinct values in order of first appearance, and where each row finds its own. */
export interface NumberDictionary {
  /** Lanes of the distinct values, two a value. */
  readonly lanes: Int32Array;
  readonly count: number;
  /** Index of the distinct value, by row. */
  readonly indices: Int32Array;
}

const firstSlots = 1 << 11;

/** The dictionary of `rows` values, or null as soon as there are more than `countMax` distinct ones. */
export function buildNumberDictionary(
  lanes: Int32Array,
  rows: number,
  countMax: number,
): NumberDictionary | null {
  const indices = new Int32Array(rows);
  let distinct = new Int32Array(firstSlots);
  let slots = new Int32Array(firstSlots).fill(-1);
  let mask = firstSlots - 1;
  let count = 0;
  let previousLow = 0;
  let previousHigh = 0;
  let previousIndex = -1;
  for (let row = 0, lane = 0; row < rows; row++, lane += 2) {
    const low = lanes[lane]!;
    const high = lanes[lane + 1]!;
    if (low === previousLow && high === previousHigh && previousIndex >= 0) {
      indices[row] = previousIndex;
      continue;
    }
    let slot = hash(low, high) & mask;
    let index = slots[slot]!;
    while (index >= 0 && (distinct[index * 2] !== low || distinct[index * 2 + 1] !== high)) {
      slot = (slot + 1) & mask;
      index = slots[slot]!;
    }
    if (index < 0) {
      if (count === countMax) return null;
      index = count++;
      slots[slot] = index;
      distinct[index * 2] = low;
      distinct[index * 2 + 1] = high;
      if (count * 2 > mask) {
        const grown = new Int32Array(distinct.length * 2);
        grown.set(distinct);
        distinct = grown;
        mask = mask * 2 + 1;
        slots = rehash(distinct, count, mask);
      }
    }
    indices[row] = index;
    previousLow = low;
    previousHigh = high;
    previousIndex = index;
  }
  return { lanes: distinct.subarray(0, count * 2), count, indices };
}

/**
 * The same dictionary in the order of the bits: neighbours then share their high bytes, which halves what a
 * dictionary of doubles takes after compression.
 */
export function sortedByBits({ lanes, count, indices }: NumberDictionary): NumberDictionary {
  const sorted = lanes.slice();
  new BigUint64Array(sorted.buffer).sort();
  const ranks = new Int32Array(count);
  for (let index = 0; index < count; index++) ranks[index] = rankOf(sorted, lanes, index);
  const ranked = new Int32Array(indices.length);
  for (let row = 0; row < indices.length; row++) ranked[row] = ranks[indices[row]!]!;
  return { lanes: sorted, count, indices: ranked };
}

/** Where value `index` of `lanes` stands among the sorted ones, of which it is one. */
function rankOf(sorted: Int32Array, lanes: Int32Array, index: number): number {
  const low = lanes[index * 2]! >>> 0;
  const high = lanes[index * 2 + 1]! >>> 0;
  let from = 0;
  let to = sorted.length / 2 - 1;
  while (from < to) {
    const middle = (from + to) >> 1;
    const middleHigh = sorted[middle * 2 + 1]! >>> 0;
    if (middleHigh < high || (middleHigh === high && sorted[middle * 2]! >>> 0 < low)) from = middle + 1;
    else to = middle;
  }
  return from;
}

function hash(low: number, high: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function rehash(distinct: Int32Array, count: number, mask: number): Int32Array<ArrayBuffer> {
  const slots = new Int32Array(mask + 1).fill(-1);
  for (let index = 0; index < count; index++) {
    let slot = hash(distinct[index * 2]!, distinct[index * 2 + 1]!) & mask;
    while (slots[slot]! >= 0) slot = (slot + 1) & mask;
    slots[slot] = index;
  }
  return slots;
}
