/**
 * HOT KERNEL. Reads DELTA_BINARY_PACKED into 64-bit lanes, 32 deltas at a time. Knows no BigInt; sums wrap at 64
 * bits as the format demands.
 *
 * Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-encoding-delta_binary_packed--5
 */
import { VarveError } from '../std/errors.js';
import { deltaBlockValues, deltaMiniblocks } from './delta-encoder.js';

const unpackedValues = deltaBlockValues / deltaMiniblocks;
const unpackedLow = new Int32Array(unpackedValues);
const unpackedHigh = new Int32Array(unpackedValues);

/**
 * Reads a delta-encoded run of exactly `count` values that begins at byte `offset` of a page; they become values
 * `at` and following of `lanes`. `corrupt` when the run has another count, other blocks than the encoder makes, or
 * ends early.
 */
export function decodeDelta(
  page: Uint8Array,
  offset: number,
  count: number,
  lanes: Int32Array,
  at: number,
): void {
  decodeDeltaRange(page, offset, count, { from: 0, to: count }, lanes, at);
}

/** Values of a run that come before those that are wanted go here, a miniblock at a time. */
const passed = new Int32Array((unpackedValues + 1) * 2);

/** Values from one mark to the next: whole blocks. */
const markValues = deltaBlockValues * 2;
/** Words of a mark: the byte at which its block begins, and the value in front of the block. */
const markWords = 3;

/** Places in one run at which reading can begin, instead of at its start; known as far as the run has been read. */
export class DeltaMarks {
  readonly words: Int32Array;
  /** How many are known: of the blocks that begin with values 1, 1 + markValues and so on. */
  count = 0;

  /** @param values how many the run has */
  constructor(values: number) {
    this.words = new Int32Array(Math.ceil(Math.max(0, values - 1) / markValues) * markWords);
  }

  /** Bytes of memory. */
  get weight(): number {
    return this.words.byteLength;
  }
}

/** Values [from, to) of a run, and where in it reading can begin. */
export interface DeltaRange {
  readonly from: number;
  readonly to: number;
  /** Of this very run. */
  readonly marks?: DeltaMarks;
}

/** The same for a range of the run only; values before it are added up and not kept, those behind not read. */
export function decodeDeltaRange(
  page: Uint8Array,
  offset: number,
  count: number,
  { from, to, marks }: DeltaRange,
  lanes: Int32Array,
  at: number,
): void {
  const run = new DeltaRun(page, offset);
  const [blockValues, miniblocks, total] = [run.varint(), run.varint(), run.varint()];
  if (blockValues !== deltaBlockValues || miniblocks !== deltaMiniblocks || total !== count) {
    throw corruptDelta(
      `${total} values in blocks of ${blockValues} / ${miniblocks}`,
      `${count} in blocks of ${deltaBlockValues} / ${deltaMiniblocks}`,
    );
  }
  run.readZigzag();
  if (to <= from) return;
  // The value so far stands in front of what is decoded next.
  passed[0] = run.low;
  passed[1] = run.high;
  // Lane 0 of the target is value `from`; whole miniblocks before it only move the sum.
  const shift = (at - from) * 2;
  const end = to * 2 + shift;
  const start = marks === undefined ? 1 : skipToMark(marks, from, run);
  if (start - 1 === from) {
    lanes[from * 2 + shift] = passed[0]!;
    lanes[from * 2 + shift + 1] = passed[1]!;
  }
  for (let value = start; value < to; ) {
    if (marks !== undefined && value === marks.count * markValues + 1) {
      if (value > from) addMark(marks, run.at, lanes, (value - 1) * 2 + shift);
      else addMark(marks, run.at, passed, 0);
    }
    run.readZigzag();
    const minimumLow = run.low;
    const minimumHigh = run.high;
    const widths = run.at;
    run.at += deltaMiniblocks;
    for (let miniblock = 0; miniblock < deltaMiniblocks && value < to; miniblock++) {
      const width = page[widths + miniblock]!;
      const next = run.at + width * 4;
      // Negated, so that a width beyond the page, which is undefined, is refused as well.
      if (!(width <= 64 && next <= page.length))
        throw corruptDelta(`deltas of ${width} bits`, 'what the page holds');
      if (value + unpackedValues <= from && width <= 32 && minimumHigh === minimumLow >> 31) {
        pass(sumNarrow(run.view, run.at, width) + minimumLow * unpackedValues);
        value += unpackedValues;
      } else {
        if (width > 32) unpackWide(run.view, run.at, width);
        else unpackNarrow(run.view, run.at, width);
        if (value > from) {
          addDeltas(lanes, value * 2 + shift, end, minimumLow, minimumHigh);
        } else {
          addDeltas(passed, 2, passed.length, minimumLow, minimumHigh);
          keep(lanes, value, from, to, shift);
        }
        value += unpackedValues;
      }
      run.at = next;
    }
  }
}

/** Goes on at the last mark at or before value `from`, if there is any; returns the value that is read next. */
function skipToMark({ words, count }: DeltaMarks, from: number, run: DeltaRun): number {
  const mark = Math.min(Math.floor(from / markValues), count - 1);
  if (mark < 0) return 1;
  run.at = words[mark * markWords]!;
  passed[0] = words[mark * markWords + 1]!;
  passed[1] = words[mark * markWords + 2]!;
  return mark * markValues + 1;
}

/** Marks a block that begins at byte `at`; the value in front of it stands in `lanes` at `lane`. */
function addMark(marks: DeltaMarks, at: number, lanes: Int32Array, lane: number): void {
  const word = marks.count * markWords;
  marks.words[word] = at;
  marks.words[word + 1] = lanes[lane]!;
  marks.words[word + 2] = lanes[lane + 1]!;
  marks.count += 1;
}

/** Adds a sum of deltas, exact as a double, to the value so far. */
function pass(sum: number): void {
  const low = (passed[0]! >>> 0) + (sum % 2 ** 32);
  passed[0] = low;
  passed[1] = passed[1]! + Math.trunc(sum / 2 ** 32) + Math.floor(low / 2 ** 32);
}

/** Takes the wanted ones of the miniblock in `passed`, whose first value is `value`; its last becomes the value so far. */
function keep(lanes: Int32Array, value: number, from: number, to: number, shift: number): void {
  for (let i = Math.max(0, from - value); i < unpackedValues && value + i < to; i++) {
    lanes[(value + i) * 2 + shift] = passed[i * 2 + 2]!;
    lanes[(value + i) * 2 + shift + 1] = passed[i * 2 + 3]!;
  }
  passed[0] = passed[unpackedValues * 2]!;
  passed[1] = passed[unpackedValues * 2 + 1]!;
}

/** The sum of 32 numbers of 0 to 32 bits. */
function sumNarrow(view: DataView, from: number, width: number): number {
  if (width === 0) return 0;
  const mask = width === 32 ? -1 : (1 << width) - 1;
  const end = from + width * 4;
  let word = view.getInt32(from, true);
  let used = 0;
  let sum = 0;
  for (let i = 0; i < unpackedValues; i++) {
    let value = word >>> used;
    const left = 32 - used;
    if (width < left) used += width;
    else {
      from += 4;
      if (from < end) word = view.getInt32(from, true);
      if (width > left) value |= word << left;
      used = width - left;
    }
    sum += (value & mask) >>> 0;
  }
  return sum;
}

/** Turns the unpacked deltas into values, each added to the one before; returns the lane behind the last. */
function addDeltas(
  lanes: Int32Array,
  lane: number,
  end: number,
  minimumLow: number,
  minimumHigh: number,
): number {
  let low = lanes[lane - 2]!;
  let high = lanes[lane - 1]!;
  for (let i = 0; i < unpackedValues && lane < end; i++, lane += 2) {
    const aboveLow = unpackedLow[i]!;
    const deltaLow = (aboveLow + minimumLow) | 0;
    const carry = deltaLow >>> 0 < aboveLow >>> 0 ? 1 : 0;
    low = (low + deltaLow) | 0;
    high = (high + unpackedHigh[i]! + minimumHigh + carry + (low >>> 0 < deltaLow >>> 0 ? 1 : 0)) | 0;
    lanes[lane] = low;
    lanes[lane + 1] = high;
  }
  return lane;
}

/** Unpacks 32 numbers of 0 to 32 bits, which take `width` whole words. */
function unpackNarrow(view: DataView, from: number, width: number): void {
  unpackedHigh.fill(0);
  if (width === 0) {
    unpackedLow.fill(0);
    return;
  }
  const mask = width === 32 ? -1 : (1 << width) - 1;
  const end = from + width * 4;
  let word = view.getInt32(from, true);
  let used = 0;
  for (let i = 0; i < unpackedValues; i++) {
    let value = word >>> used;
    const left = 32 - used;
    if (width < left) used += width;
    else {
      from += 4;
      if (from < end) word = view.getInt32(from, true);
      if (width > left) value |= word << left;
      used = width - left;
    }
    unpackedLow[i] = value & mask;
  }
}

/** Unpacks 32 numbers of 33 to 64 bits. */
function unpackWide(view: DataView, from: number, width: number): void {
  const highWidth = width - 32;
  const mask = highWidth === 32 ? -1 : (1 << highWidth) - 1;
  const end = from + width * 4;
  let word = view.getInt32(from, true);
  let used = 0;
  for (let i = 0; i < unpackedValues; i++) {
    from += 4;
    const middle = view.getInt32(from, true);
    unpackedLow[i] = used === 0 ? word : (word >>> used) | (middle << (32 - used));
    let value = middle >>> used;
    const left = 32 - used;
    word = middle;
    if (highWidth < left) used += highWidth;
    else {
      from += 4;
      if (from < end) word = view.getInt32(from, true);
      if (highWidth > left) value |= word << left;
      used = highWidth - left;
    }
    unpackedHigh[i] = value & mask;
  }
}

/** The place in a delta-encoded run, with the last zigzag number as lanes. */
class DeltaRun {
  readonly view: DataView;
  at: number;
  low = 0;
  high = 0;
  readonly #page: Uint8Array;

  constructor(page: Uint8Array, at: number) {
    this.#page = page;
    this.view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    this.at = at;
  }

  varint(): number {
    this.#readVarint();
    return (this.high >>> 0) * 2 ** 32 + (this.low >>> 0);
  }

  readZigzag(): void {
    this.#readVarint();
    const sign = -(this.low & 1);
    this.low = ((this.low >>> 1) | (this.high << 31)) ^ sign;
    this.high = (this.high >>> 1) ^ sign;
  }

  #readVarint(): void {
    this.low = 0;
    this.high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#page[this.at++];
      if (byte === undefined) throw corruptDelta('the end of the page', 'a number');
      const bits = byte & 0x7f;
      if (shift < 32) this.low |= bits << shift;
      if (shift > 25) this.high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32);
      if (byte < 0x80) return;
    }
    throw corruptDelta('a number of more than ten bytes', 'at most ten');
  }
}

function corruptDelta(got: string, want: string): VarveError {
  return new VarveError(
    'corrupt',
    `reading delta-encoded integers of a Parquet page: got ${got}; want ${want}`,
  );
}
