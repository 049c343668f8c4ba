import { type ColumnBuilder, typeDouble, typeUbigint } from '../column-builder.js';
import type { TimePrecision } from '../precision.js';
import type { RequestTables } from '../request-tables.js';
import type { TableBuilder } from '../table-builder.js';
import { kernelColumnsMax, kernelPrefixBytesMax, kernelSlots, type LineKernel } from './line-kernel.js';

/** Nanoseconds a unit; 0 tells a time's unit by its magnitude. */
const unitsNs: Readonly<Record<TimePrecision, bigint>> = {
  auto: 0n,
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** A run of fewer lines than this costs more than it saves. */
const shortRunLines = 4;
/** Lines after which it is tried again at the latest. */
const pauseLinesMax = 128;

/** A table of the request whose lines the kernel may take. */
interface SlotUse {
  readonly table: TableBuilder;
  readonly slot: number;
  version: number;
  /** The table's first columns that the template has. */
  columnCount: number;
}

/**
 * The kernel's part of one request: which tables it takes lines of, and the rows it has staged. A tag set is admitted
 * once a line of it was accepted the general way, which has then checked it against the table's schema and made its
 * columns; so the kernel never meets a line that the schema refuses.
 */
export class KernelRows {
  readonly #kernel: LineKernel;
  readonly #tables: RequestTables;
  readonly #unitNs: bigint;
  readonly #lineBytesMax: number;
  #generation: number;
  #uses: SlotUse[] = [];
  /** Lines to go until the kernel is tried again, and for how many it pauses next. */
  #pauseLines = 0;
  #nextPauseLines = 1;
  /** Set by run: lines it took, and the spelling of the last one. */
  lines = 0;
  spelling = -1;

  constructor(options: {
    readonly kernel: LineKernel;
    readonly tables: RequestTables;
    readonly precision: TimePrecision;
    readonly lineBytesMax: number;
  }) {
    this.#kernel = options.kernel;
    this.#tables = options.tables;
    this.#unitNs = unitsNs[options.precision];
    this.#lineBytesMax = options.lineBytesMax;
    this.#generation = options.kernel.nextGeneration();
  }

  /** To be called with each new input, for other requests may have used the kernel since the last. */
  begin(): void {
    if (this.#uses.every(({ slot, version }) => this.#kernel.versionOf(slot) === version)) return;
    this.#uses = [];
    this.#generation = this.#kernel.nextGeneration();
  }

  /**
   * Takes lines from place `at` of the loaded input, up to `end` or to the first that it does not take, and puts their
   * rows in their tables. Answers where it stopped; sets `lines` and `spelling`.
   *
   * @param lineNumber of the first line
   */
  run(at: number, end: number, previous: number, lineNumber: number): number {
    this.lines = 0;
    this.spelling = previous;
    if (this.#uses.length === 0) return at;
    if (this.#pauseLines > 0) {
      this.#pauseLines--;
      return at;
    }
    const { stop } = this.#kernel;
    do {
      const last = Math.max(0, this.spelling);
      this.#kernel.run(at, end, last, this.#generation, this.#unitNs, this.#lineBytesMax);
      if (stop.lines === 0) break;
      this.#flush(lineNumber + this.lines);
      this.lines += stop.lines;
      this.spelling = stop.spelling;
      at = stop.at;
    } while (stop.isFull);
    if (this.lines >= shortRunLines || at >= end) this.#nextPauseLines = 1;
    else {
      this.#pauseLines = this.#nextPauseLines;
      this.#nextPauseLines = Math.min(pauseLinesMax, this.#nextPauseLines * 2);
    }
    return at;
  }

  /** Notes that a line of the spelling was accepted into the table. */
  admit(spelling: number, table: TableBuilder): void {
    let use = this.#uses.find((each) => each.table === table);
    if (use?.columnCount !== table.columns.length) use = this.#fit(use, table) ?? use;
    if (use !== undefined) this.#kernel.admit(this.#kernel.tagSetOf(spelling), this.#generation, use.slot);
  }

  /** Gives the table a slot with a template of all its columns, if that can be. */
  #fit(use: SlotUse | undefined, table: TableBuilder): SlotUse | undefined {
    const { columns } = table;
    if (!isFit(columns)) return undefined;
    const slot = use?.slot ?? this.#chooseSlot(columns);
    if (slot === undefined) return undefined;
    if (!this.#kernel.hasTemplate(slot, columns)) this.#kernel.setTemplate(slot, columns);
    const version = this.#kernel.versionOf(slot);
    if (use !== undefined) {
      use.version = version;
      use.columnCount = columns.length;
      return use;
    }
    const made = { table, slot, version, columnCount: columns.length };
    this.#uses.push(made);
    return made;
  }

  /** A slot that this request does not use: one that has the template already, or the next in turn. */
  #chooseSlot(columns: readonly ColumnBuilder[]): number | undefined {
    let chosen: number | undefined;
    for (let slot = 0; slot < kernelSlots; slot++) {
      if (this.#uses.some((use) => use.slot === slot)) continue;
      if (this.#kernel.hasTemplate(slot, columns)) return slot;
      if (chosen === undefined || this.#kernel.versionOf(slot) < this.#kernel.versionOf(chosen))
        chosen = slot;
    }
    return chosen;
  }

  #flush(lineNumber: number): void {
    // All slots are emptied before anything can fail, for other requests use them too.
    const staged = this.#uses.map(({ slot }) => this.#kernel.takeRows(slot));
    staged.forEach((rows, index) => {
      if (rows > 0) this.#append(this.#uses[index] as SlotUse, rows, lineNumber);
    });
  }

  #append({ table, slot, columnCount }: SlotUse, rows: number, lineNumber: number): void {
    const kernel = this.#kernel;
    const first = table.rowCount;
    while (table.capacity < first + rows) table.grow();
    this.#tables.placeSeries(kernel.series(slot, rows), table.series, first);
    placeLines(kernel.lines(slot, rows), lineNumber, table.lineNumbers, first);
    table.times.set(kernel.times(slot, rows), first * 2);
    for (let index = 0; index < columnCount; index++) {
      const column = table.columns[index] as ColumnBuilder;
      if (column.type === typeDouble) column.doubles.set(kernel.doubles(slot, index, rows), first);
      else column.lanes.set(kernel.integers(slot, index, rows), first * 2);
      column.markRows(first, rows, table.capacity);
    }
    table.rowCount += rows;
  }
}

/** Hot loop. */
function placeLines(lines: Int32Array, lineNumber: number, lineNumbers: Int32Array, at: number): void {
  for (let row = 0; row < lines.length; row++) lineNumbers[at + row] = lineNumber + (lines[row] as number);
}

function isFit(columns: readonly ColumnBuilder[]): boolean {
  return (
    columns.length <= kernelColumnsMax &&
    columns.every(({ type, prefixLength }) => type <= typeUbigint && prefixLength <= kernelPrefixBytesMax)
  );
}
