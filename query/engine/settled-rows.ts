import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { timeFieldId } from '../../core/model/schema.js';
import { lanesOf } from '../../core/parquet/lanes.js';
import { NumberPages } from '../../core/parquet/number-pages.js';
import { type ColumnRows, type FileBytes, RowRangeReader } from '../../core/parquet/row-range-reader.js';
import { intersectRanges, type RowRanges, rowsIn, rowsWithTag } from '../../core/parquet/tag-runs.js';
import type { ParquetColumnData } from '../../core/parquet/types.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import { type ColumnGatherer, FixedGatherer, StringGatherer, TagGatherer } from './gather-columns.js';
import { LastRows } from './last-rows.js';
import type { SettledScan } from './query-engine.js';
import type { BatchColumn, EngineScan, ScanBatch } from './scan.js';

/** More rows than this are read faster by the engine's own scan, on all its threads. */
const rowsMax = 200_000;
/** So are more than one row in so many, unless they are few. */
const fewRows = 20_000;
const shareMin = 8;
/** Last rows of series are worth finding where a series has so many rows at least. */
const rowsOfSeriesMin = 32;
/**
 * Tags of row groups that one query may read to find out where its rows are: tens of milliseconds. With more to learn
 * the engine scans, and the next query has less to learn.
 */
const tagsReadMax = 400;
/** Memory for pages that were read last, decompressed. */
const pagesBytesMax = 64 * 2 ** 20;
/** Rows after which a batch is handed on. */
const batchRows = 8192;

/** The rows wanted of one row group. */
interface GroupRanges {
  readonly path: string;
  readonly reader: RowRangeReader;
  readonly rowGroup: number;
  readonly ranges: RowRanges;
  /** Where the ranges are its last rows of series. */
  readonly last: LastRows | null;
}

/** What is known of a file. */
interface KnownFile {
  readonly reader: RowRangeReader;
  /** By row group. */
  readonly last: Map<number, LastRows>;
}

type Column = SettledScan['columns'][number];

/**
 * Picks the rows of few series out of settled files. A file is sorted by series, so that a series is one run of rows:
 * once it is known where the runs of a tag's values are, a question about some hosts reads the pages that hold them
 * and nothing else, however large the row groups. What is known of files is kept, least recently used out first.
 */
export class SettledRows {
  readonly #weightMax: number;
  /** By path; a settled file is named by its content and never changes. */
  readonly #files = new Map<string, KnownFile>();
  readonly #pages = new NumberPages(pagesBytesMax);

  /** @param weightMax bytes of memory, roughly, for what is known of files */
  constructor(weightMax: number) {
    this.#weightMax = weightMax;
  }

  /**
   * The rows of the scan; undefined where the engine reads them as fast itself, or where a file cannot be read here:
   * then the engine tells what is wrong with it.
   */
  select(scan: SettledScan): EngineScan | undefined {
    try {
      const groups = scan.rows === 'last' ? this.#findLast(scan) : this.#findRanges(scan);
      if (groups === undefined) return undefined;
      const rowCount = groups.reduce((rows, { ranges }) => rows + rowsIn(ranges), 0);
      return { columns: scan.columns, rowCount, open: (wanted) => readBatches(scan, groups, wanted) };
    } catch {
      return undefined;
    } finally {
      this.#shrink();
    }
  }

  #findRanges(scan: SettledScan): readonly GroupRanges[] | undefined {
    const groups: GroupRanges[] = [];
    let rows = 0;
    let rowsOfFiles = 0;
    let tagsRead = 0;
    const tags = scan.tags.map(({ fieldId, values }) => ({
      fieldId,
      values: values.map((value) => (value === null ? null : Buffer.from(value, 'utf8'))),
    }));
    for (const path of scan.paths) {
      withFile(path, (file) => {
        const { reader } = this.#known(path, file);
        const { specs, rowGroups } = reader.layout;
        tagsRead -= reader.tagsRead;
        for (const [rowGroup, { rowCount }] of rowGroups.entries()) {
          if (tagsRead + reader.tagsRead > tagsReadMax) break;
          let ranges: RowRanges = [0, rowCount];
          for (const { fieldId, values } of tags) {
            const column = specs.findIndex((spec) => spec.fieldId === fieldId);
            const found =
              column >= 0
                ? rowsWithTag(reader.tagRuns(file, rowGroup, column), values)
                : values.includes(null)
                  ? ranges
                  : [];
            ranges = intersectRanges(ranges, found);
            if (ranges.length === 0) break;
          }
          rowsOfFiles += rowCount;
          if (ranges.length === 0) continue;
          rows += rowsIn(ranges);
          groups.push({ path, reader, rowGroup, ranges, last: null });
        }
        tagsRead += reader.tagsRead;
      });
      if (rows > rowsMax || tagsRead > tagsReadMax) return undefined;
    }
    return rows <= fewRows || rows * shareMin <= rowsOfFiles ? groups : undefined;
  }

  /** Of all series, whatever the tags: what is once read of them serves every such question. */
  #findLast(scan: SettledScan): readonly GroupRanges[] | undefined {
    const groups: GroupRanges[] = [];
    let rows = 0;
    let rowsOfFiles = 0;
    let tagsRead = 0;
    for (const path of scan.paths) {
      withFile(path, (file) => {
        const known = this.#known(path, file);
        const { reader } = known;
        tagsRead -= reader.tagsRead;
        for (const [rowGroup, { rowCount }] of reader.layout.rowGroups.entries()) {
          if (tagsRead + reader.tagsRead > tagsReadMax) break;
          const last = known.last.get(rowGroup) ?? new LastRows(reader, file, rowGroup);
          known.last.set(rowGroup, last);
          rows += last.count;
          rowsOfFiles += rowCount;
          groups.push({ path, reader, rowGroup, ranges: last.ranges, last });
        }
        tagsRead += reader.tagsRead;
      });
      if (rows > rowsMax || tagsRead > tagsReadMax) return undefined;
    }
    return rows <= fewRows / rowsOfSeriesMin || rows * rowsOfSeriesMin <= rowsOfFiles ? groups : undefined;
  }

  #known(path: string, file: FileBytes): KnownFile {
    const known = this.#files.get(path) ?? {
      reader: RowRangeReader.open(file, this.#pages),
      last: new Map(),
    };
    this.#files.delete(path);
    this.#files.set(path, known);
    return known;
  }

  #shrink(): void {
    let weight = 0;
    for (const known of this.#files.values()) weight += weightOf(known);
    for (const [path, known] of this.#files) {
      if (weight <= this.#weightMax) return;
      this.#files.delete(path);
      weight -= weightOf(known);
    }
  }
}

function weightOf({ reader, last }: KnownFile): number {
  let weight = reader.weight;
  for (const rows of last.values()) weight += rows.weight;
  return weight;
}

/** Reads on as the engine asks for more, so that a query that is given up stops reading. */
function* readBatches(
  scan: SettledScan,
  groups: readonly GroupRanges[],
  wanted: readonly number[],
): Generator<ScanBatch, void> {
  let batch = new BatchGatherer(scan, wanted);
  for (const group of groups) {
    let isSlow = false;
    try {
      withFile(group.path, (file) => {
        isSlow = batch.append(file, group);
      });
    } catch (error) {
      throw new VarveError('corrupt', `reading ${group.path}: ${errorMessage(error)}`, { cause: error });
    }
    if (batch.rowCount < batchRows && !(isSlow && batch.rowCount > 0)) continue;
    yield batch.finish();
    batch = new BatchGatherer(scan, wanted);
  }
  if (batch.rowCount > 0) yield batch.finish();
}

type WantedColumn =
  | { readonly kind: 'tag'; readonly fieldId: number; readonly gatherer: TagGatherer }
  | { readonly kind: 'pages'; readonly fieldId: number; readonly gatherer: ColumnGatherer };

class BatchGatherer {
  rowCount = 0;
  readonly #scan: SettledScan;
  readonly #columns: readonly (WantedColumn | undefined)[];

  constructor(scan: SettledScan, wanted: readonly number[]) {
    this.#scan = scan;
    this.#columns = wanted.map((index) => {
      const column = scan.columns[index];
      return column === undefined ? undefined : wantedColumn(column);
    });
  }

  /** True when it took long enough that other queries should get a turn of the thread. */
  append(file: FileBytes, group: GroupRanges): boolean {
    return group.last === null ? this.#appendRanges(file, group) : this.#appendLast(file, group, group.last);
  }

  #appendLast(file: FileBytes, { reader, rowGroup, ranges }: GroupRanges, last: LastRows): boolean {
    const weightBefore = last.weight;
    this.rowCount += last.count;
    for (const column of this.#columns) {
      if (column === undefined) continue;
      const index = indexOf(reader, column.fieldId);
      if (column.kind === 'tag') column.gatherer.append(reader.tagRuns(file, rowGroup, index), ranges);
      else column.gatherer.append(last.column(reader, file, rowGroup, index), [0, last.count]);
    }
    return last.weight > weightBefore;
  }

  #appendRanges(file: FileBytes, { reader, rowGroup, ranges }: GroupRanges): boolean {
    const times = new PagesOfColumn(reader, file, rowGroup, indexOf(reader, timeFieldId));
    const pagesOf = (fieldId: number): PagesOfColumn =>
      fieldId === timeFieldId ? times : new PagesOfColumn(reader, file, rowGroup, indexOf(reader, fieldId));
    const within = rowsWithin(this.#scan, ranges, times);
    if (within.length === 0) return false;
    this.rowCount += rowsIn(within);
    for (const column of this.#columns) {
      if (column === undefined) continue;
      if (column.kind === 'tag') {
        column.gatherer.append(reader.tagRuns(file, rowGroup, indexOf(reader, column.fieldId)), within);
      } else {
        const { gatherer } = column;
        pagesOf(column.fieldId).each(within, (data, from, to) => gatherer.append(data, [from, to]));
      }
    }
    return false;
  }

  finish(): ScanBatch {
    const columns = this.#columns.map((column): BatchColumn | undefined => column?.gatherer.finish());
    return { rowCount: this.rowCount, columns };
  }
}

function indexOf({ layout }: RowRangeReader, fieldId: number): number {
  const index = layout.specs.findIndex((spec) => spec.fieldId === fieldId);
  if (index < 0) throw new VarveError('corrupt', `got no column of id ${fieldId}; want it in the file`);
  return index;
}

function wantedColumn({ type, fieldId }: Column): WantedColumn {
  switch (type) {
    case 'tag':
      return { kind: 'tag', fieldId, gatherer: new TagGatherer() };
    case 'string':
      return { kind: 'pages', fieldId, gatherer: new StringGatherer() };
    case 'boolean':
      return { kind: 'pages', fieldId, gatherer: new FixedGatherer(1) };
    case 'nanos':
      return { kind: 'pages', fieldId, gatherer: new FixedGatherer(4) };
    default:
      return { kind: 'pages', fieldId, gatherer: new FixedGatherer(8) };
  }
}

/** The pages of one column of one row group, decoded once. */
class PagesOfColumn {
  readonly #loaded: ColumnRows[] = [];
  readonly #reader: RowRangeReader;
  readonly #file: FileBytes;
  readonly #rowGroup: number;
  readonly #column: number;

  constructor(reader: RowRangeReader, file: FileBytes, rowGroup: number, column: number) {
    this.#reader = reader;
    this.#file = file;
    this.#rowGroup = rowGroup;
    this.#column = column;
  }

  /** Calls `use` for each range with the data that holds it and where in it the range lies. */
  each(
    ranges: RowRanges,
    use: (data: ParquetColumnData, from: number, to: number, row: number) => void,
  ): void {
    for (let i = 0; i < ranges.length; i += 2) {
      const from = ranges[i]!;
      const to = ranges[i + 1]!;
      const { data, firstRow } = this.#pagesWith(from, to);
      use(data, from - firstRow, to - firstRow, from);
    }
  }

  #pagesWith(from: number, to: number): ColumnRows {
    const known = this.#loaded.findLast(({ firstRow, endRow }) => firstRow <= from && to <= endRow);
    if (known !== undefined) return known;
    const read = this.#reader.rows(this.#file, this.#rowGroup, this.#column, from, to);
    this.#loaded.push(read);
    return read;
  }
}

/** The parts of the ranges whose times lie within the bounds. */
function rowsWithin(scan: SettledScan, ranges: RowRanges, times: PagesOfColumn): RowRanges {
  const { minMicros, maxMicros } = scan;
  if (minMicros === null && maxMicros === null) return ranges;
  // Doubles hold microseconds up to the year 2255; beyond, they are off by one.
  const min = (minMicros ?? Number.NEGATIVE_INFINITY) - 2;
  const max = (maxMicros ?? Number.POSITIVE_INFINITY) + 2;
  const within: number[] = [];
  times.each(ranges, (data, from, to, row) => {
    if (data.kind !== 'time') throw new VarveError('corrupt', `got ${data.kind} for time`);
    const lanes = lanesOf(data.micros);
    const shift = row - from;
    for (let at = from; at < to; at++) {
      const micros = lanes[at * 2 + 1]! * 2 ** 32 + (lanes[at * 2]! >>> 0);
      if (micros < min || micros > max) continue;
      if (within.at(-1) === at + shift) within[within.length - 1] = at + shift + 1;
      else within.push(at + shift, at + shift + 1);
    }
  });
  return within;
}

/** A file that is opened when something is first read of it: what is kept of it often does. */
class LazyFile implements FileBytes {
  readonly #path: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get size(): number {
    return fstatSync(this.#open()).size;
  }

  read(offset: number, length: number): Uint8Array {
    const descriptor = this.#open();
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const read = readSync(descriptor, bytes, at, length - at, offset + at);
      if (read === 0) throw new VarveError('corrupt', `got ${offset + at} bytes; want more`);
      at += read;
    }
    return bytes;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
  }

  #open(): number {
    this.#descriptor ??= openSync(this.#path, 'r');
    return this.#descriptor;
  }
}

function withFile(path: string, use: (file: FileBytes) => void): void {
  const file = new LazyFile(path);
  try {
    use(file);
  } finally {
    file.close();
  }
}
