import { VarveError } from '../../../../core/std/errors.js';
import { newline } from '../bytes.js';

/** Slots for templates; this and what follows is laid out by line-kernel.as.ts. */
export const kernelSlots = 8;
/** Columns of a template. */
export const kernelColumnsMax = 64;
/** Bytes of a column's name and `=`. */
export const kernelPrefixBytesMax = 64;

const rowsMax = 256;
const slotHeadBytes = 16;
const columnBytes = 16 + kernelPrefixBytesMax;
const seriesIn = slotHeadBytes + kernelColumnsMax * columnBytes;
const linesIn = seriesIn + rowsMax * 4;
const timesIn = linesIn + rowsMax * 4;
const valuesIn = timesIn + rowsMax * 8;
/** No line that brings a spelling is shorter (one byte, a space, the newline); lines of larger inputs are counted. */
const lineBytesMin = 3;
const guessedBytesMax = 1 << 17;
const spellingTagSet = 12;
const spellingSeries = 16;

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  init(): number;
  slotAt(slot: number): number;
  prepare(bytes: number, lines: number): number;
  admit(tagSet: number, generation: number, slot: number): void;
  find(at: number, previous: number): number;
  add(at: number, length: number, previous: number, tagSet: number, series: number): number;
  run(
    at: number,
    end: number,
    previous: number,
    generation: number,
    unitNs: bigint,
    lineBytesMax: number,
  ): void;
}

/** What of a column the kernel needs to know: the bytes of its name and `=`, and 0 double, 1 bigint or 2 ubigint. */
export interface TemplateColumn {
  readonly prefix: Uint8Array;
  readonly type: number;
}

/** Where `run` stopped. */
export interface KernelStop {
  /** Place in the input: of the line that it did not take, or its end. */
  at: number;
  lines: number;
  /** The last spelling it met. */
  spelling: number;
  /** True when a slot has no room; rows must be taken out before it goes on. */
  isFull: boolean;
}

/**
 * The WebAssembly part of the decoder for one series interner: the spellings it knows, and slots in which rows of the
 * usual form are staged. Calls are synchronous and nothing is kept in slots between them, so requests may share it.
 */
export class LineKernel {
  readonly #exports: KernelExports;
  readonly #state: number;
  readonly #slotsAt: number;
  readonly #slotBytes: number;
  readonly #templates: (readonly TemplateColumn[])[] = Array.from({ length: kernelSlots }, () => []);
  readonly #versions = new Int32Array(kernelSlots);
  #generations = 0;
  #memory: ArrayBuffer;
  #words: Int32Array<ArrayBuffer>;
  #doubles: Float64Array<ArrayBuffer>;
  #inputAt = 0;
  /** The input that was loaded last, and what is behind it. */
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;
  readonly stop: KernelStop = { at: 0, lines: 0, spelling: 0, isFull: false };

  /** `module` is the compiled line-kernel.as.ts. */
  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module, {}).exports as unknown as KernelExports;
    this.#state = this.#exports.init();
    if (this.#state === 0) throw noMemory();
    this.#slotsAt = this.#exports.slotAt(0);
    this.#slotBytes = this.#exports.slotAt(1) - this.#slotsAt;
    this.#memory = this.#exports.memory.buffer;
    this.#words = new Int32Array(this.#memory);
    this.#doubles = new Float64Array(this.#memory);
    this.bytes = new Uint8Array(this.#memory);
    this.view = new DataView(this.#memory);
  }

  /** Bytes of its memory. */
  get memoryBytes(): number {
    return this.#memory.byteLength;
  }

  /** A number that no other request has, for `admit` and `run`. */
  nextGeneration(): number {
    this.#generations = (this.#generations + 1) | 0;
    return this.#generations;
  }

  /** Copies [0, end) of the bytes to its memory: sets `bytes` and `view`, which hold until the next call. */
  load(bytes: Uint8Array, end: number): void {
    const at = this.#exports.prepare(end, countLines(bytes, end));
    if (at === 0) throw noMemory();
    const memory = this.#exports.memory.buffer;
    if (memory !== this.#memory || at !== this.#inputAt) {
      this.#memory = memory;
      this.#inputAt = at;
      this.#words = new Int32Array(memory);
      this.#doubles = new Float64Array(memory);
      this.bytes = new Uint8Array(memory, at);
      this.view = new DataView(memory, at);
    }
    this.bytes.set(bytes.subarray(0, end));
  }

  /** The spelling at the place, 0 when it is not known; `spellingEnd` tells where its space or the newline stands. */
  find(at: number, previous: number): number {
    return this.#exports.find(at, previous);
  }

  get spellingEnd(): number {
    return this.#words[this.#state >> 2] as number;
  }

  /** Adds a spelling that find did not know. */
  add(at: number, length: number, previous: number, tagSet: number, series: number): number {
    return this.#exports.add(at, length, previous, tagSet, series);
  }

  seriesOf(spelling: number): number {
    return this.#words[(spelling + spellingSeries) >> 2] as number;
  }

  tagSetOf(spelling: number): number {
    return this.#words[(spelling + spellingTagSet) >> 2] as number;
  }

  /** Takes lines of admitted tag sets from `at` on; see `stop`. The generation says whose admissions count. */
  run(
    at: number,
    end: number,
    previous: number,
    generation: number,
    unitNs: bigint,
    lineBytesMax: number,
  ): void {
    this.#exports.run(at, end, previous, generation, unitNs, lineBytesMax);
    const { stop } = this;
    const state = this.#state >> 2;
    stop.at = this.#words[state] as number;
    stop.lines = this.#words[state + 1] as number;
    stop.spelling = this.#words[state + 2] as number;
    stop.isFull = this.#words[state + 3] !== 0;
  }

  /** Lets `run` take lines of the tag set into the slot. */
  admit(tagSet: number, generation: number, slot: number): void {
    this.#exports.admit(tagSet, generation, slot);
  }

  /** Changes when the slot's template is replaced. */
  versionOf(slot: number): number {
    return this.#versions[slot] as number;
  }

  hasTemplate(slot: number, columns: readonly TemplateColumn[]): boolean {
    const template = this.#templates[slot] ?? [];
    return (
      template.length === columns.length &&
      template.every((column, index) => {
        const other = columns[index] as TemplateColumn;
        return column.type === other.type && Buffer.compare(column.prefix, other.prefix) === 0;
      })
    );
  }

  /** Replaces the slot's template. At most kernelColumnsMax columns, prefixes of at most kernelPrefixBytesMax. */
  setTemplate(slot: number, columns: readonly TemplateColumn[]): void {
    const at = this.#slotAt(slot);
    this.#words[at >> 2] = 0;
    this.#words[(at >> 2) + 1] = columns.length;
    const bytes = new Uint8Array(this.#memory);
    columns.forEach(({ prefix, type }, index) => {
      const column = at + slotHeadBytes + index * columnBytes;
      this.#words[column >> 2] = prefix.length;
      this.#words[(column >> 2) + 1] = type;
      bytes.set(prefix, column + 16);
    });
    this.#templates[slot] = columns.map(({ prefix, type }) => ({ prefix, type }));
    this.#versions[slot] = (this.versionOf(slot) + 1) | 0;
  }

  /** Takes the staged rows out of the slot: how many there were. Their columns stay readable until the next `run`. */
  takeRows(slot: number): number {
    const at = this.#slotAt(slot) >> 2;
    const rows = this.#words[at] as number;
    this.#words[at] = 0;
    return rows;
  }

  series(slot: number, rows: number): Int32Array {
    return this.#wordsAt(this.#slotAt(slot) + seriesIn, rows);
  }

  /** By row: its line, counted from the first of the run. */
  lines(slot: number, rows: number): Int32Array {
    return this.#wordsAt(this.#slotAt(slot) + linesIn, rows);
  }

  /** By row: nanoseconds as two words, low word first. */
  times(slot: number, rows: number): Int32Array {
    return this.#wordsAt(this.#slotAt(slot) + timesIn, rows * 2);
  }

  doubles(slot: number, column: number, rows: number): Float64Array {
    const at = (this.#slotAt(slot) + valuesIn + column * rowsMax * 8) >> 3;
    return this.#doubles.subarray(at, at + rows);
  }

  /** 64-bit integers as two words each. */
  integers(slot: number, column: number, rows: number): Int32Array {
    return this.#wordsAt(this.#slotAt(slot) + valuesIn + column * rowsMax * 8, rows * 2);
  }

  #slotAt(slot: number): number {
    return this.#slotsAt + slot * this.#slotBytes;
  }

  #wordsAt(at: number, length: number): Int32Array {
    return this.#words.subarray(at >> 2, (at >> 2) + length);
  }
}

/** At least the lines of [0, end): their least length decides while that costs little memory. */
function countLines(bytes: Uint8Array, end: number): number {
  if (end <= guessedBytesMax) return Math.ceil(end / lineBytesMin);
  let lines = 0;
  for (let at = bytes.indexOf(newline); at >= 0 && at < end; at = bytes.indexOf(newline, at + 1)) lines++;
  return lines;
}

function noMemory(): VarveError {
  return new VarveError(
    'unavailable',
    'decoding line protocol: got no memory for its series; want some to be free',
    { retryAfterSeconds: 5 },
  );
}
