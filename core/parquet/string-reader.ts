import type { StringValues } from '../model/columns.js';
import { assert } from '../std/assert.js';
import { VarveError } from '../std/errors.js';
import type { ChunkPages } from './chunk-pages.js';
import { encoding } from './format.js';
import { spread } from './number-reader.js';
import { buildStringDictionary } from './string-dictionary.js';
import type { TagCodes } from './types.js';

/** Reads a tag: codes by row, -1 where absent; no two entries are equal, unless the writer was given such. */
export function readTags(pages: ChunkPages, rowCount: number): TagCodes {
  const { codes, strings, distinct } = readCodes(pages, rowCount);
  if (distinct) return { codes, dictionary: strings };
  const all = Int32Array.from({ length: strings.offsets.length - 1 }, (_, index) => index);
  const limits = { countMax: all.length + 1, bytesMax: Number.POSITIVE_INFINITY };
  const found = buildStringDictionary(strings, all, limits);
  assert(found !== null, 'a dictionary without limits was given up');
  for (let row = 0; row < rowCount; row++) if (codes[row]! >= 0) codes[row] = found.indices[codes[row]!]!;
  return { codes, dictionary: stringsAt(strings, found.entries) };
}

/** Reads a string field: one string a row, empty where absent. */
export function readStrings(pages: ChunkPages, rowCount: number): StringValues {
  const { codes, strings, distinct } = readCodes(pages, rowCount);
  // Plain strings that are all present stand in order of rows already.
  if (!distinct && pages.present === rowCount) return strings;
  return stringsAt(strings, codes);
}

interface CodedStrings {
  /** Index into `strings` by row, -1 where absent. */
  readonly codes: Int32Array;
  readonly strings: StringValues;
  /** True when `strings` is a dictionary, false when it has one entry a present row. */
  readonly distinct: boolean;
}

function readCodes(pages: ChunkPages, rowCount: number): CodedStrings {
  const codes = new Int32Array(rowCount);
  const plain: StringValues[] = [];
  let entries: StringValues | null = null;
  let before = 0;
  for (const page of pages.draw()) {
    if (page.encoding === encoding.rleDictionary && pages.dictionary !== null) {
      const { bytes, valueCount } = pages.dictionary;
      entries ??= readPlainStrings(bytes, 0, valueCount);
      pages.readIndices(page, valueCount, codes, page.row);
    } else if (page.encoding === encoding.plain && pages.dictionary === null) {
      plain.push(readPlainStrings(page.bytes, page.valuesAt, page.present));
      for (let value = 0; value < page.present; value++) codes[page.row + value] = before + value;
    } else {
      throw pages.unknownEncoding(page);
    }
    before += page.present;
    if (pages.validity !== null) spread(codes, pages.validity, page);
  }
  if (pages.validity !== null) {
    for (let row = 0; row < rowCount; row++) if (pages.validity[row] === 0) codes[row] = -1;
  }
  return { codes, strings: entries ?? concatenated(plain), distinct: entries !== null };
}

/** HOT LOOP. PLAIN strings: four bytes of length, then the bytes. */
function readPlainStrings(page: Uint8Array, offset: number, count: number): StringValues {
  const total = page.length - offset - count * 4;
  if (count < 0 || total < 0) throw corruptStrings(`${page.length - offset} bytes`, `${count} strings`);
  const offsets = new Int32Array(count + 1);
  const bytes = new Uint8Array(total);
  let at = offset;
  let written = 0;
  for (let i = 0; i < count; i++) {
    const length = (page[at]! | (page[at + 1]! << 8) | (page[at + 2]! << 16) | (page[at + 3]! << 24)) >>> 0;
    at += 4;
    if (length > total - written)
      throw corruptStrings(`a string of ${length} bytes`, `at most ${total - written}`);
    for (const end = at + length; at < end; at++) bytes[written++] = page[at]!;
    offsets[i + 1] = written;
  }
  return { offsets, bytes };
}

/** The strings that `entries` point at, in order; an entry of -1 gives an empty one. */
function stringsAt(strings: StringValues, entries: Int32Array): StringValues {
  const offsets = new Int32Array(entries.length + 1);
  let total = 0;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry >= 0) total += strings.offsets[entry + 1]! - strings.offsets[entry]!;
    offsets[i + 1] = total;
  }
  const bytes = new Uint8Array(total);
  for (let i = 0, at = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry < 0) continue;
    const end = strings.offsets[entry + 1]!;
    for (let from = strings.offsets[entry]!; from < end; from++) bytes[at++] = strings.bytes[from]!;
  }
  return { offsets, bytes };
}

function concatenated(parts: readonly StringValues[]): StringValues {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const count = parts.reduce((sum, part) => sum + part.offsets.length - 1, 0);
  const total = parts.reduce((sum, part) => sum + part.bytes.length, 0);
  const offsets = new Int32Array(count + 1);
  const bytes = new Uint8Array(total);
  let index = 0;
  let at = 0;
  for (const part of parts) {
    for (let i = 1; i < part.offsets.length; i++) offsets[++index] = at + part.offsets[i]!;
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  return { offsets, bytes };
}

function corruptStrings(got: string, want: string): VarveError {
  return new VarveError('corrupt', `reading strings of a Parquet page: got ${got}; want ${want}`);
}
