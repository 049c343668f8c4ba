import type { BatchId } from '../model/batch.js';
import type { SequenceRange } from './types.js';

/** Ranges in order of origin, epoch and sequence; those that touch or overlap are one. */
export function normalizeSequenceRanges(ranges: readonly SequenceRange[]): SequenceRange[] {
  const sorted = [...ranges].sort(compareRanges);
  const merged: SequenceRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && sameOrigin(last, range) && range.first <= last.last + 1) {
      merged[merged.length - 1] = { ...last, last: Math.max(last.last, range.last) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

/** The sequences of `ranges` that are not in `without`, normalized. */
export function subtractSequenceRanges(
  ranges: readonly SequenceRange[],
  without: readonly SequenceRange[],
): SequenceRange[] {
  const left: SequenceRange[] = [];
  const taken = normalizeSequenceRanges(without);
  let at = 0;
  for (const range of normalizeSequenceRanges(ranges)) {
    let { first } = range;
    for (; ; at++) {
      const hole = taken[at];
      if (hole === undefined) break;
      if (compareOrigins(hole, range) < 0 || (sameOrigin(hole, range) && hole.last < first)) continue;
      if (!sameOrigin(hole, range) || hole.first > range.last) break;
      if (hole.first > first) left.push({ ...range, first, last: hole.first - 1 });
      first = hole.last + 1;
      // The hole may reach into the next range.
      if (first > range.last) break;
    }
    if (first <= range.last) left.push({ ...range, first });
  }
  return left;
}

/** How many sequences normalized ranges hold. */
export function countSequences(ranges: readonly SequenceRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** Whether some range holds the batch. */
export function coversSequence(ranges: readonly SequenceRange[], id: BatchId): boolean {
  return ranges.some(
    (range) =>
      range.origin === id.origin &&
      range.epoch === id.epoch &&
      range.first <= id.sequence &&
      id.sequence <= range.last,
  );
}

/** The ids that ranges stand for, at most `length` at a time. */
export function* sliceSequenceRanges(
  ranges: readonly SequenceRange[],
  length: number,
): Generator<readonly BatchId[]> {
  let slice: BatchId[] = [];
  for (const { origin, epoch, first, last } of ranges) {
    for (let sequence = first; sequence <= last; sequence++) {
      slice.push({ origin, epoch, sequence });
      if (slice.length < length) continue;
      yield slice;
      slice = [];
    }
  }
  if (slice.length > 0) yield slice;
}

/** Runs of this length and less are kept as such, for people to read. */
const runsLengthMin = 64;

/**
 * The sequences of one origin and epoch, in whichever form is shorter.
 *
 * `runs`: `skip` or `skip+more` in base 36, joined by commas: sequences skipped since the run before (since 0 for the
 * first), and how many follow the first of this run. `0+9,4` is 1 to 10 and 15.
 *
 * `bits`: base64 of a bitmap, lowest bit first, whose bit 0 stands for the sequence `first`. When groups take their
 * sequences by turns it costs a bit a sequence, where runs would cost two bytes.
 */
export type PackedRanges = { readonly origin: string; readonly epoch: number } & (
  | { readonly runs: string }
  | { readonly first: number; readonly bits: string }
);

/** Normalized ranges in a form that stays small. */
export function packSequenceRanges(ranges: readonly SequenceRange[]): PackedRanges[] {
  const packed: PackedRanges[] = [];
  for (let from = 0; from < ranges.length; ) {
    const head = ranges[from];
    if (head === undefined) break;
    let to = from + 1;
    for (let next = ranges[to]; next !== undefined && sameOrigin(next, head); next = ranges[to]) to++;
    const { origin, epoch } = head;
    packed.push({ origin, epoch, ...packOne(ranges.slice(from, to)) });
    from = to;
  }
  return packed;
}

/** The ranges of one entry in its form of runs; undefined when the text is none that packSequenceRanges writes. */
export function unpackRuns(
  origin: SequenceRange['origin'],
  epoch: number,
  runs: string,
): SequenceRange[] | undefined {
  const ranges: SequenceRange[] = [];
  let last = 0;
  for (const run of runs.split(',')) {
    const match = /^([0-9a-z]{1,10})(?:\+([0-9a-z]{1,10}))?$/.exec(run);
    if (match === null) return undefined;
    const first = last + 1 + Number.parseInt(match[1] ?? '', 36);
    last = first + Number.parseInt(match[2] ?? '0', 36);
    if (!Number.isSafeInteger(last)) return undefined;
    ranges.push({ origin, epoch, first, last });
  }
  return ranges;
}

/** The ranges of one entry in its form of bits; undefined when the text is no base64 of a bitmap that begins with a 1. */
export function unpackBits(
  origin: SequenceRange['origin'],
  epoch: number,
  first: number,
  bits: string,
): SequenceRange[] | undefined {
  const bitmap = Buffer.from(bits, 'base64');
  if (bitmap.toString('base64') !== bits || ((bitmap[0] ?? 0) & 1) === 0) return undefined;
  const ranges: SequenceRange[] = [];
  let runFirst: number | undefined;
  for (let bit = 0; bit <= bitmap.length * 8; bit++) {
    const isSet = (((bitmap[bit >>> 3] ?? 0) >>> (bit & 7)) & 1) === 1;
    if (isSet) runFirst ??= first + bit;
    else if (runFirst !== undefined) {
      ranges.push({ origin, epoch, first: runFirst, last: first + bit - 1 });
      runFirst = undefined;
    }
  }
  return ranges;
}

function packOne(ranges: readonly SequenceRange[]): { runs: string } | { first: number; bits: string } {
  const runs = runsOf(ranges);
  const first = ranges[0]?.first ?? 0;
  const span = (ranges.at(-1)?.last ?? 0) - first + 1;
  const bitsLength = Math.ceil(Math.ceil(span / 8) / 3) * 4;
  return runs.length <= Math.max(runsLengthMin, bitsLength)
    ? { runs }
    : { first, bits: bitsOf(ranges, first, span) };
}

function runsOf(ranges: readonly SequenceRange[]): string {
  let last = 0;
  const runs = ranges.map((range) => {
    const skip = (range.first - last - 1).toString(36);
    const more = range.last - range.first;
    last = range.last;
    return more === 0 ? skip : `${skip}+${more.toString(36)}`;
  });
  return runs.join(',');
}

function bitsOf(ranges: readonly SequenceRange[], first: number, span: number): string {
  const bitmap = Buffer.alloc(Math.ceil(span / 8));
  for (const range of ranges) {
    for (let bit = range.first - first; bit <= range.last - first; bit++) {
      bitmap[bit >>> 3] = (bitmap[bit >>> 3] ?? 0) | (1 << (bit & 7));
    }
  }
  return bitmap.toString('base64');
}

function compareRanges(left: SequenceRange, right: SequenceRange): number {
  return compareOrigins(left, right) || left.first - right.first;
}

function compareOrigins(left: SequenceRange, right: SequenceRange): number {
  if (left.origin !== right.origin) return left.origin < right.origin ? -1 : 1;
  return left.epoch - right.epoch;
}

function sameOrigin(
  left: { readonly origin: string; readonly epoch: number },
  right: { readonly origin: string; readonly epoch: number },
): boolean {
  return left.origin === right.origin && left.epoch === right.epoch;
}
