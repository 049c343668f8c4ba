import type { ByteDictionary } from './byte-dictionary.js';

/** Groups up to this size are sorted by insertion. */
const insertedMax = 24;
/** Strings handled before other work may go first. */
const handledAtOnce = 65_536;

/**
 * The byte order of a dictionary's strings, worked out when a scan first needs it and kept: strings that came since
 * are sorted by themselves and merged in.
 */
export class ValueOrder {
  readonly #values: ByteDictionary;
  #sorted = new Int32Array(0);
  #ranks = new Int32Array(1);

  constructor(values: ByteDictionary) {
    this.#values = values;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return this.#sorted.byteLength + this.#ranks.byteLength;
  }

  /**
   * By string number + 1: its place in byte order + 1; 0 at 0. Covers all strings that are in at the time of the call.
   * What is given is not changed later, so ranks of one call belong together.
   */
  async ranks(giveWay: () => Promise<void>): Promise<Int32Array> {
    const known = this.#sorted;
    const count = this.#values.count;
    if (known.length >= count) return this.#ranks;
    const added = Int32Array.from({ length: count - known.length }, (_, at) => known.length + at);
    await sortStrings(this.#values, added, giveWay);
    const sorted = mergeSorted(this.#values, known, added);
    const ranks = new Int32Array(count + 1);
    for (let at = 0; at < count; at++) ranks[sorted[at]! + 1] = at + 1;
    // Another scan may have come further meanwhile.
    if (count > this.#sorted.length) {
      this.#sorted = sorted;
      this.#ranks = ranks;
    }
    return ranks;
  }
}

/** Merges a few sorted strings into many: looks up the place of each and copies what lies between. */
function mergeSorted(values: ByteDictionary, many: Int32Array, few: Int32Array): Int32Array<ArrayBuffer> {
  const merged = new Int32Array(many.length + few.length);
  let taken = 0;
  few.forEach((value, place) => {
    let low = taken;
    let high = many.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (values.compare(many[middle]!, value) < 0) low = middle + 1;
      else high = middle;
    }
    merged.set(many.subarray(taken, low), taken + place);
    merged[low + place] = value;
    taken = low;
  });
  merged.set(many.subarray(taken), taken + few.length);
  return merged;
}

/**
 * Sorts distinct strings of a dictionary by their bytes: by four bytes at a time, then each group of equals by the
 * four that follow. A list of groups in place of recursion, for long strings may differ in their last bytes only.
 */
export async function sortStrings(
  values: ByteDictionary,
  strings: Int32Array,
  giveWay: () => Promise<void>,
): Promise<void> {
  const keys = new Uint32Array(strings.length);
  const spareKeys = new Uint32Array(strings.length);
  const spare = new Int32Array(strings.length);
  const groups = [{ from: 0, to: strings.length, depth: 0 }];
  let handled = 0;
  for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
    const { from, to, depth } = group;
    if (to - from <= insertedMax) insertionSort(values, strings, from, to, depth);
    else {
      for (let at = from; at < to; at++) keys[at] = values.wordAt(strings[at]!, depth);
      radixSort(keys, strings, spareKeys, spare, from, to);
      for (let first = from; first < to; ) {
        let end = first + 1;
        while (end < to && keys[end] === keys[first]) end += 1;
        const rest = endedFirst(values, strings, first, end, depth + 4);
        if (end - rest > 1) groups.push({ from: rest, to: end, depth: depth + 4 });
        first = end;
      }
    }
    handled += to - from;
    if (handled < handledAtOnce) continue;
    handled = 0;
    await giveWay();
  }
}

/** Of strings that are equal up to `depth`, puts those that end there first, shorter before longer; tells where the others begin. */
function endedFirst(
  values: ByteDictionary,
  strings: Int32Array,
  from: number,
  to: number,
  depth: number,
): number {
  if (to - from < 2) return to;
  let rest = from;
  for (let at = from; at < to; at++) {
    const string = strings[at]!;
    if (values.lengthOf(string) > depth) continue;
    strings[at] = strings[rest]!;
    strings[rest] = string;
    rest += 1;
  }
  insertionSort(values, strings, from, rest, Math.max(0, depth - 4));
  return rest;
}

function insertionSort(
  values: ByteDictionary,
  strings: Int32Array,
  from: number,
  to: number,
  depth: number,
): void {
  for (let next = from + 1; next < to; next++) {
    const string = strings[next]!;
    let at = next;
    while (at > from && values.compare(strings[at - 1]!, string, depth) > 0) {
      strings[at] = strings[at - 1]!;
      at -= 1;
    }
    strings[at] = string;
  }
}

/** Sorts [from, to) of keys, and the strings with them, a byte a pass from the lowest. Hot loop. */
function radixSort(
  keys: Uint32Array,
  strings: Int32Array,
  spareKeys: Uint32Array,
  spareStrings: Int32Array,
  from: number,
  to: number,
): void {
  const starts = new Int32Array(257);
  for (let shift = 0; shift < 32; shift += 8) {
    starts.fill(0);
    for (let at = from; at < to; at++) starts[((keys[at]! >>> shift) & 255) + 1]! += 1;
    if (starts[((keys[from]! >>> shift) & 255) + 1] === to - from) continue;
    for (let byte = 1; byte < 257; byte++) starts[byte]! += starts[byte - 1]!;
    for (let at = from; at < to; at++) {
      const byte = (keys[at]! >>> shift) & 255;
      const place = from + starts[byte]!;
      starts[byte]! += 1;
      spareKeys[place] = keys[at]!;
      spareStrings[place] = strings[at]!;
    }
    keys.set(spareKeys.subarray(from, to), from);
    strings.set(spareStrings.subarray(from, to), from);
  }
}
