import { compareBytes } from '../../core/model/series-key.js';
import { VarveError } from '../../core/std/errors.js';
import type { BlockTag, RowBlock } from './row-block.js';
import { compareTimes, dayOfLanes, lanesOf } from './time-lanes.js';

/** Which days of a source's rows are wanted; null for all of them. */
export type DayFilter =
  | { readonly kind: 'only'; readonly day: number }
  | { readonly kind: 'except'; readonly days: ReadonlySet<number> }
  | null;

export interface CursorSource {
  /** What the blocks come from, for messages. */
  readonly name: string;
  readonly blocks: AsyncIterable<RowBlock>;
  /** Of two values for one field of one point, the one from the source with the higher precedence wins. */
  readonly precedence: number;
  readonly days: DayFilter;
}

/**
 * Walks a sorted stream of row blocks run by run; a run is rows [row, runEnd) of the block, all of one series, times
 * ascending, nothing filtered away between them. Checks the promised order on the way: a source out of order would
 * silently make a wrong file.
 */
export class SeriesCursor {
  readonly name: string;
  readonly precedence: number;
  readonly #days: DayFilter;
  readonly #blocks: AsyncIterator<RowBlock>;
  #block: RowBlock | null = null;
  #lanes: Int32Array = new Int32Array(0);
  #row = 0;
  #runEnd = 0;
  /** Rows delivered by moveTo, the filtered ones not counted. */
  #rowsTaken = 0;

  constructor(source: CursorSource) {
    this.name = source.name;
    this.precedence = source.precedence;
    this.#days = source.days;
    this.#blocks = source.blocks[Symbol.asyncIterator]();
  }

  /** The current block; only while the cursor is not at its end. */
  get block(): RowBlock {
    if (this.#block === null) throw new VarveError('internal', `${this.name}: no row left`);
    return this.#block;
  }

  get lanes(): Int32Array {
    return this.#lanes;
  }

  get row(): number {
    return this.#row;
  }

  get runEnd(): number {
    return this.#runEnd;
  }

  get rowsTaken(): number {
    return this.#rowsTaken;
  }

  /** Goes to the first wanted row; false when there is none. */
  start(): Promise<boolean> {
    return this.#nextBlock();
  }

  /** Moves to `row`, at most runEnd, within the current block and then to the next wanted run if the run is used up; false at the end. */
  moveTo(row: number): boolean | Promise<boolean> {
    this.#rowsTaken += row - this.#row;
    this.#row = row;
    if (row < this.#runEnd) return true;
    return this.#findRun(row) || this.#nextBlock();
  }

  /** Ends the source early; the next reader of it would get nothing. */
  async close(): Promise<void> {
    this.#block = null;
    await this.#blocks.return?.();
  }

  async #nextBlock(): Promise<boolean> {
    for (;;) {
      const previous = this.#block;
      const next = await this.#blocks.next();
      if (next.done === true) {
        this.#block = null;
        return false;
      }
      if (next.value.rowCount === 0) continue;
      const previousLanes = this.#lanes;
      this.#block = next.value;
      this.#lanes = lanesOf(next.value.micros);
      if (previous !== null) this.#checkOrder(previous, previousLanes, previous.rowCount - 1, 0);
      if (this.#findRun(0)) return true;
    }
  }

  /** Finds the first run at or after `row`. Hot: one pass over the tag codes and times. */
  #findRun(row: number): boolean {
    const block = this.block;
    const { rowCount, nanos, tags } = block;
    const lanes = this.#lanes;
    while (row < rowCount && !this.#wants(row)) row++;
    if (row === rowCount) return false;
    let end = row + 1;
    scan: for (; end < rowCount; end++) {
      for (let tag = 0; tag < tags.length; tag++) {
        const codes = tags[tag]?.codes;
        if (codes !== undefined && codes[end] !== codes[end - 1]) {
          this.#checkOrder(block, lanes, end - 1, end);
          break scan;
        }
      }
      if (compareTimes(lanes, nanos, end - 1, lanes, nanos, end) >= 0) {
        throw this.#outOfOrder(end);
      }
      if (this.#days !== null && !this.#wants(end)) break;
    }
    this.#row = row;
    this.#runEnd = end;
    return true;
  }

  #wants(row: number): boolean {
    const days = this.#days;
    if (days === null) return true;
    const day = dayOfLanes(this.#lanes, row);
    return days.kind === 'only' ? day === days.day : !days.days.has(day);
  }

  /** Throws unless row `right` of the current block comes after row `left` of `block`. */
  #checkOrder(block: RowBlock, lanes: Int32Array, left: number, right: number): void {
    const order =
      compareSeries(block, left, this.block, right) ||
      compareTimes(lanes, block.nanos, left, this.#lanes, this.block.nanos, right);
    if (order >= 0) throw this.#outOfOrder(right);
  }

  #outOfOrder(row: number): VarveError {
    return new VarveError(
      'corrupt',
      `${this.name}: got row ${row} of a block at or before the row in front of it; want rows by tags, then time, each point once`,
    );
  }
}

/** Compares the series of two rows by the order of settled files: negative, zero or positive. */
export function compareSeries(left: RowBlock, leftRow: number, right: RowBlock, rightRow: number): number {
  for (let tag = 0; tag < left.tags.length; tag++) {
    const order = compareTag(left.tags[tag] ?? null, leftRow, right.tags[tag] ?? null, rightRow);
    if (order !== 0) return order;
  }
  return 0;
}

/** Compares the values of one tag at two rows: absent first, then by bytes. */
export function compareTag(
  left: BlockTag | null,
  leftRow: number,
  right: BlockTag | null,
  rightRow: number,
): number {
  const leftCode = left === null ? -1 : (left.codes[leftRow] ?? -1);
  const rightCode = right === null ? -1 : (right.codes[rightRow] ?? -1);
  if (left === null || leftCode < 0) return right === null || rightCode < 0 ? 0 : -1;
  if (right === null || rightCode < 0) return 1;
  if (left.dictionary === right.dictionary && leftCode === rightCode) return 0;
  return compareBytes(tagBytes(left, leftCode), tagBytes(right, rightCode));
}

function tagBytes({ dictionary }: BlockTag, code: number): Uint8Array {
  return dictionary.bytes.subarray(dictionary.offsets[code] ?? 0, dictionary.offsets[code + 1] ?? 0);
}
