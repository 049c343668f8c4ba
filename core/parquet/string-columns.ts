import type { StringValues } from '../model/columns.js';
import { dictionaryBytesMax, dictionaryColumn } from './dictionary-column.js';
import type { EncodedValues } from './encoded-column.js';
import { encoding } from './format.js';
import { stringStatistics } from './statistics.js';
import { buildStringDictionary, type StringDictionary, usedTags } from './string-dictionary.js';
import type { TagCodes } from './types.js';

/** A tag: a dictionary of the entries in use, unless that would be too large to hold. */
export function tagColumn(tags: TagCodes, present: number): EncodedValues {
  const used = usedTags(tags, present);
  if (plainSize(tags.dictionary, used.entries) > dictionaryBytesMax) {
    return plainColumn(tags.dictionary, used.entries, used.indices);
  }
  return stringDictionaryColumn(tags.dictionary, used);
}

/** A string field: a dictionary where strings come back, else the strings themselves. */
export function stringColumn(
  values: StringValues,
  validity: Uint8Array | null,
  present: number,
): EncodedValues {
  const rows = presentRows(validity, present);
  const countMax = Math.max(16, present >> 1);
  const dictionary = buildStringDictionary(values, rows, { countMax, bytesMax: dictionaryBytesMax });
  if (dictionary === null) return plainColumn(values, rows, null);
  return stringDictionaryColumn(values, dictionary);
}

/** The rows that are present. */
function presentRows(validity: Uint8Array | null, present: number): Int32Array {
  const rows = new Int32Array(present);
  let at = 0;
  for (let row = 0; at < present; row++) if (validity === null || validity[row] !== 0) rows[at++] = row;
  return rows;
}

function stringDictionaryColumn(source: StringValues, dictionary: StringDictionary): EncodedValues {
  const { entries, indices } = dictionary;
  const bytes = new Uint8Array(plainSize(source, entries));
  writePlain(source, entries, null, { from: 0, to: entries.length, bytes, at: 0 });
  const statistics = stringStatistics(source, entries);
  return dictionaryColumn(bytes, { count: entries.length, indices }, statistics);
}

/** PLAIN strings: value i is string `entries[indices[i]]` of the source, or `entries[i]` without indices. */
function plainColumn(source: StringValues, entries: Int32Array, indices: Int32Array | null): EncodedValues {
  const sizeOf = (from: number, to: number): number => {
    if (indices === null) return plainSize(source, entries.subarray(from, to));
    let size = 0;
    for (let i = from; i < to; i++) size += stringSize(source, entries[indices[i]!]!);
    return size;
  };
  const count = indices === null ? entries.length : indices.length;
  return {
    encoding: encoding.plain,
    dictionary: null,
    statistics: stringStatistics(source, entries),
    valueBytes: sizeOf(0, count) / count,
    write: (from, to, into) => {
      const size = sizeOf(from, to);
      into.reserve(size);
      writePlain(source, entries, indices, { from, to, bytes: into.bytes, at: into.length });
      into.length += size;
    },
  };
}

function stringSize(source: StringValues, entry: number): number {
  return 4 + source.offsets[entry + 1]! - source.offsets[entry]!;
}

function plainSize(source: StringValues, entries: Int32Array): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += stringSize(source, entries[i]!);
  return size;
}

/** Length in four bytes, little-endian, then the bytes, one string after the other. */
function writePlain(
  source: StringValues,
  entries: Int32Array,
  indices: Int32Array | null,
  target: { readonly from: number; readonly to: number; readonly bytes: Uint8Array; readonly at: number },
): void {
  const { offsets, bytes: sourceBytes } = source;
  const { bytes, to } = target;
  let at = target.at;
  for (let i = target.from; i < to; i++) {
    const entry = entries[indices === null ? i : indices[i]!]!;
    const start = offsets[entry]!;
    const length = offsets[entry + 1]! - start;
    bytes[at] = length;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length >>> 16;
    bytes[at + 3] = length >>> 24;
    at += 4;
    for (let k = 0; k < length; k++) bytes[at + k] = sourceBytes[start + k]!;
    at += length;
  }
}
