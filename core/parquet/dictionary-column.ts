import type { ByteSink } from './byte-sink.js';
import type { EncodedValues } from './encoded-column.js';
import { encoding } from './format.js';
import { bitWidthOf, encodeHybrid } from './hybrid-encoder.js';
import type { ValueStatistics } from './statistics.js';

/** A dictionary page may take this much before compression: readers hold it whole. */
export const dictionaryBytesMax = 1 << 20;

/** Values as indices into a dictionary; every page is as many bits wide as its own greatest index needs. */
export function dictionaryColumn(
  bytes: Uint8Array,
  { count, indices }: { readonly count: number; readonly indices: Int32Array },
  statistics: ValueStatistics,
): EncodedValues {
  return {
    encoding: encoding.rleDictionary,
    dictionary: { bytes, count },
    statistics,
    valueBytes: 4,
    write: (from, to, into) => writeIndices(indices, from, to, into),
  };
}

function writeIndices(indices: Int32Array, from: number, to: number, into: ByteSink): void {
  let greatest = 0;
  for (let at = from; at < to; at++) if (indices[at]! > greatest) greatest = indices[at]!;
  // Width 0 is allowed for a dictionary of one, but not every reader knows it.
  const width = Math.max(1, bitWidthOf(greatest));
  into.push(width);
  encodeHybrid(indices, from, to, width, into);
}
