import { encodeSeriesKey } from '../../../core/model/series-key.js';
import { backslash, lastWordMask, newline, readSlackBytes, space } from './bytes.js';
import { LineKernel } from './kernel/line-kernel.js';
import { KeyArena } from './key-arena.js';
import { parseSeries } from './series-syntax.js';

/** The names of the tags of a series together with its table: what a schema check looks at. */
export interface TagSet {
  readonly table: string;
  readonly names: readonly string[];
}

const freeNumbersMax = 8;

/**
 * Remembers series across requests, so that the tags of a line are split, unescaped, checked and sorted once and
 * then found by comparing bytes. Two levels of dense ids:
 *
 * - a *spelling* is the first section of a line byte for byte (`cpu,host=a,region=eu`);
 * - a *series* is a table and a canonical key; several spellings (other order of tags) may name one series.
 *
 * It only grows; `SeriesInternerSlot` replaces it when it is full. This file is part of the decoder's hot loop:
 * `findSpelling` reads words, allocates nothing and uses no closures.
 */
export class SeriesInterner {
  readonly #spellings = new KeyArena();
  readonly #series = new KeyArena();
  #seriesOfSpelling = new Int32Array(1024);
  #successor = new Int32Array(1024).fill(-1);
  #tagSetOfSeries = new Int32Array(1024);
  #tableOfTagSet = new Int32Array(64);
  readonly #tagSetIndexes = new Map<string, number>();
  readonly #tableIndexes = new Map<string, number>();
  #namesBytes = 0;
  readonly #freeNumbers: Int32Array[] = [];
  /** Holds the spellings in place of `#spellings` where there is one; a spelling's number is then its own. */
  readonly kernel: LineKernel | undefined;
  /** By tag set index. */
  readonly tagSets: TagSet[] = [];
  /** Set by findSpelling: position of the byte after the spelling. */
  spellingEnd = 0;
  /** Set by findSpelling when it answers -1. */
  problem = '';

  /** `kernelModule`: the compiled kernel, for lines of the usual form to be decoded in WebAssembly. */
  constructor(kernelModule?: WebAssembly.Module) {
    if (kernelModule !== undefined) this.kernel = new LineKernel(kernelModule);
  }

  /** Bytes held, index structures included. */
  get bytes(): number {
    const spellings = this.kernel?.memoryBytes ?? this.#spellings.bytes;
    return spellings + this.#series.bytes + this.#namesBytes + this.#seriesOfSpelling.length * 12;
  }

  get seriesCount(): number {
    return this.#series.count;
  }

  seriesOf(spelling: number): number {
    if (this.kernel !== undefined) return this.kernel.seriesOf(spelling);
    return this.#seriesOfSpelling[spelling] as number;
  }

  tagSetOf(series: number): number {
    return this.#tagSetOfSeries[series] as number;
  }

  /** The table of a tag set as an index that is dense over all tables seen. */
  tableOfTagSet(tagSet: number): number {
    return this.#tableOfTagSet[tagSet] as number;
  }

  /** An array of zeros with at least one number a series, for a request to number the series it meets. */
  takeNumbers(): Int32Array {
    const numbers = this.#freeNumbers.pop();
    return numbers !== undefined && numbers.length >= this.seriesCount
      ? numbers
      : new Int32Array(Math.max(64, this.#series.count * 2));
  }

  /** Takes an array back; all its numbers must be zero again. */
  giveBackNumbers(numbers: Int32Array): void {
    if (this.#freeNumbers.length < freeNumbersMax) this.#freeNumbers.push(numbers);
  }

  /** Length in bytes of a series' canonical key. */
  keyLength(series: number): number {
    return this.#series.lengthOf(series);
  }

  /** Copies a canonical key; returns the position after it. */
  copyKey(series: number, into: Uint8Array, at: number): number {
    return this.#series.copy(series, into, at);
  }

  /**
   * The spelling that starts at `start`, or -1 (see `problem`) when it is malformed. `previous` is the spelling of
   * the line before (-1 for none): what followed it last time is tried first. The line must end with a newline,
   * and readSlackBytes beyond it must be readable.
   */
  findSpelling(bytes: Uint8Array, view: DataView, start: number, previous: number): number {
    if (this.kernel !== undefined) return this.#findInKernel(this.kernel, bytes, start, previous);
    if (previous >= 0) {
      const expected = this.#successor[previous] as number;
      if (expected >= 0) {
        const end = start + this.#spellings.lengthOf(expected);
        // What is remembered never ends in a backslash, so the space that follows is an unescaped one.
        if (bytes[end] === space && this.#spellings.equals(expected, view, start)) {
          this.spellingEnd = end;
          return expected;
        }
      }
    }
    const spelling = this.#lookUp(bytes, view, start);
    if (previous >= 0 && spelling >= 0) this.#successor[previous] = spelling;
    return spelling;
  }

  /** The same where `bytes` is the kernel's input. */
  #findInKernel(kernel: LineKernel, bytes: Uint8Array, start: number, previous: number): number {
    const last = Math.max(0, previous);
    const known = kernel.find(start, last);
    this.spellingEnd = kernel.spellingEnd;
    if (known !== 0) return known;
    const series = this.#parse(bytes, start, this.spellingEnd);
    if (series < 0) return -1;
    return kernel.add(start, this.spellingEnd - start, last, this.tagSetOf(series), series);
  }

  #lookUp(bytes: Uint8Array, view: DataView, start: number): number {
    // Whole words first, until one holds a byte up to 0x20 or a backslash; then byte by byte.
    let at = start;
    for (;;) {
      const word = view.getInt32(at, true);
      const slashes = word ^ 0x5c5c5c5c;
      const hits = ((word - 0x21212121) & ~word) | ((slashes - 0x01010101) & ~slashes);
      if ((hits & 0x80808080) !== 0) break;
      at += 4;
    }
    let byte = bytes[at] as number;
    while (byte !== newline && (byte !== space || bytes[at - 1] === backslash)) byte = bytes[++at] as number;
    this.spellingEnd = at;
    const length = at - start;
    const hash = hashOf(view, start, length);
    const known = byte === newline ? -1 : this.#spellings.find(view, start, length, hash);
    if (known >= 0) return known;
    const series = this.#parse(bytes, start, at);
    if (series < 0) return -1;
    const spelling = this.#spellings.add(view, start, length, hash);
    if (spelling === this.#seriesOfSpelling.length) {
      this.#seriesOfSpelling = grown(this.#seriesOfSpelling, 0);
      this.#successor = grown(this.#successor, -1);
    }
    this.#seriesOfSpelling[spelling] = series;
    return spelling;
  }

  /** The series that bytes [start, end) spell, or -1 (see `problem`). */
  #parse(bytes: Uint8Array, start: number, end: number): number {
    if (bytes[end] === newline) {
      this.problem = 'got no fields; want at least one field=value after the measurement and tags';
      return -1;
    }
    const parsed = parseSeries(bytes, start, end);
    if (parsed.kind === 'malformed') {
      this.problem = parsed.message;
      return -1;
    }
    const tagSet = this.#internTagSet(
      parsed.table,
      parsed.tags.map((tag) => tag.name),
    );
    return this.#internSeries(tagSet, encodeSeriesKey(parsed.tags));
  }

  #internTagSet(table: string, names: readonly string[]): number {
    const sorted = [...names].sort();
    const text = [table, ...sorted].join('\0');
    const known = this.#tagSetIndexes.get(text);
    if (known !== undefined) return known;
    let tableIndex = this.#tableIndexes.get(table);
    if (tableIndex === undefined) {
      tableIndex = this.#tableIndexes.size;
      this.#tableIndexes.set(table, tableIndex);
    }
    const index = this.tagSets.push({ table, names: sorted }) - 1;
    if (index === this.#tableOfTagSet.length) this.#tableOfTagSet = grown(this.#tableOfTagSet, 0);
    this.#tableOfTagSet[index] = tableIndex;
    this.#tagSetIndexes.set(text, index);
    this.#namesBytes += text.length * 4 + 256;
    return index;
  }

  #internSeries(tagSet: number, key: Uint8Array): number {
    // The key names its tags, so among the series of one table equal keys have equal tag sets.
    const padded = new Uint8Array(key.length + readSlackBytes);
    padded.set(key);
    const view = new DataView(padded.buffer);
    const hash = Math.imul(hashOf(view, 0, key.length) ^ (tagSet + 1), 0x2c1b3c6d);
    for (let found = this.#series.find(view, 0, key.length, hash); found >= 0; ) {
      if (this.#tagSetOfSeries[found] === tagSet) return found;
      found = this.#series.findNext(found, view, 0, key.length, hash);
    }
    const series = this.#series.add(view, 0, key.length, hash);
    if (series === this.#tagSetOfSeries.length) this.#tagSetOfSeries = grown(this.#tagSetOfSeries, 0);
    this.#tagSetOfSeries[series] = tagSet;
    return series;
  }
}

/**
 * Holds the interner that new requests use. A full one is replaced rather than cleared: requests that are being
 * decoded keep theirs until they end, so ids never change under them.
 */
export class SeriesInternerSlot {
  readonly #bytesMax: number;
  readonly #kernelModule: WebAssembly.Module | undefined;
  #current: SeriesInterner;

  /** `bytesMax` bounds what is kept from request to request; see SeriesInterner for `kernelModule`. */
  constructor(bytesMax: number, kernelModule?: WebAssembly.Module) {
    this.#bytesMax = bytesMax;
    this.#kernelModule = kernelModule;
    this.#current = new SeriesInterner(kernelModule);
  }

  current(): SeriesInterner {
    if (this.#current.bytes > this.#bytesMax) this.#current = new SeriesInterner(this.#kernelModule);
    return this.#current;
  }
}

function hashOf(view: DataView, start: number, length: number): number {
  let hash = length;
  const words = length & ~3;
  for (let at = 0; at < words; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(start + at, true), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  if (words !== length) {
    hash = Math.imul(hash ^ (view.getInt32(start + words, true) & lastWordMask(length)), 0x9e3779b1);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0x85ebca6b);
  return hash ^ (hash >>> 16);
}

function grown(from: Int32Array<ArrayBuffer>, fill: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(from.length * 2).fill(fill);
  to.set(from);
  return to;
}
