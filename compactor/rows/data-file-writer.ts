import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DataFile } from '../../core/iceberg/types.js';
import { ParquetWriter } from '../../core/parquet/parquet-writer.js';
import type { ParquetFile } from '../../core/parquet/types.js';
import type { RowSink } from './merge-sources.js';
import type { RowBlock } from './row-block.js';
import { RowGroupBuilder } from './row-group-builder.js';
import type { RowLayout } from './row-layout.js';
import { compareTag } from './series-cursor.js';

export interface DataFileLimits {
  readonly rowGroupRowsMax: number;
  /** Values of a row group, so that tables of many columns have row groups of few rows. */
  readonly rowGroupValuesMax: number;
  /** Rows after which a file is ended. */
  readonly fileRowsMax: number;
  /** Bytes of strings after which a row group and a file are ended, before encoding. */
  readonly rowGroupStringBytesMax: number;
  readonly fileStringBytesMax: number;
}

/** Row groups of 100,000 rows; files of four million. */
export const defaultDataFileLimits: DataFileLimits = {
  rowGroupRowsMax: 100_000,
  rowGroupValuesMax: 4_000_000,
  fileRowsMax: 4_000_000,
  rowGroupStringBytesMax: 32 * 2 ** 20,
  fileStringBytesMax: 256 * 2 ** 20,
};

/** Stores a finished file and tells what the catalog is to know of it. */
export type StoreFile = (file: ParquetFile, day: number | null) => Promise<DataFile>;

export interface DataFileWriterOptions {
  readonly layout: RowLayout;
  /** The day partition of the files; null for files that span days. */
  readonly day: number | null;
  /** At most this many rows come; a small table then takes little memory. */
  readonly rowsExpected: number;
  readonly limits: DataFileLimits;
  /** Entries of the footer. They make files of equal rows differ where they come of different groups. */
  readonly keyValueMetadata: Readonly<Record<string, string>>;
  readonly store: StoreFile;
}

/**
 * Writes sorted rows as one data file, or several where they are many. Files are cut where the value of the first
 * tag changes if that comes soon enough, so that their statistics tell them apart.
 */
export class DataFileWriter implements RowSink {
  readonly #options: DataFileWriterOptions;
  readonly #builder: RowGroupBuilder;
  readonly #files: DataFile[] = [];
  #parquet: ParquetWriter | null = null;
  #fileRows = 0;
  #fileStringBytes = 0;
  #last: { block: RowBlock; row: number } | null = null;

  constructor(options: DataFileWriterOptions) {
    this.#options = options;
    this.#builder = new RowGroupBuilder(options.layout, rowGroupRowsOf(options));
  }

  append(block: RowBlock, from: number, to: number): void | Promise<void> {
    // Only when nothing is full is there no need to wait; that is nearly every call.
    if (this.#hasRoom(to - from) && !this.#fileIsFull()) {
      this.#take(block, from, to);
      return;
    }
    return this.#appendSlowly(block, from, to);
  }

  overlay(block: RowBlock, row: number): number {
    return this.#builder.overlay(block, row);
  }

  /** Ends the last file. Returns all files, none of them without rows. */
  async finish(): Promise<readonly DataFile[]> {
    await this.#endFile();
    return this.#files;
  }

  async #appendSlowly(block: RowBlock, from: number, to: number): Promise<void> {
    if (this.#fileIsFull() && this.#mayCutBefore(block, from)) await this.#endFile();
    while (from < to) {
      if (!this.#hasRoom(1)) await this.#endRowGroup();
      const rows = Math.min(to - from, this.#builder.rowsMax - this.#builder.rowCount);
      this.#take(block, from, from + rows);
      from += rows;
    }
  }

  #take(block: RowBlock, from: number, to: number): void {
    this.#builder.append(block, from, to);
    this.#fileRows += to - from;
    this.#last = { block, row: to - 1 };
  }

  #hasRoom(rows: number): boolean {
    return (
      this.#builder.rowCount + rows <= this.#builder.rowsMax &&
      this.#builder.stringBytes < this.#options.limits.rowGroupStringBytesMax
    );
  }

  #fileIsFull(): boolean {
    const { fileRowsMax, fileStringBytesMax } = this.#options.limits;
    return this.#fileRows >= fileRowsMax || this.#fileStringBytes >= fileStringBytesMax;
  }

  #mayCutBefore(block: RowBlock, row: number): boolean {
    const last = this.#last;
    if (last === null) return false;
    const { fileRowsMax, fileStringBytesMax } = this.#options.limits;
    const isFarOver =
      this.#fileRows >= fileRowsMax * 1.25 || this.#fileStringBytes >= fileStringBytesMax * 1.25;
    return isFarOver || compareTag(last.block.tags[0] ?? null, last.row, block.tags[0] ?? null, row) !== 0;
  }

  async #endRowGroup(): Promise<void> {
    const rows = this.#builder.rowCount;
    if (rows === 0) return;
    const { layout, keyValueMetadata } = this.#options;
    this.#parquet ??= new ParquetWriter(layout.specs, { keyValueMetadata });
    this.#parquet.writeRowGroup(rows, this.#builder.columns());
    this.#fileStringBytes += this.#builder.stringBytes;
    this.#builder.clear();
    await nextTurn();
  }

  async #endFile(): Promise<void> {
    await this.#endRowGroup();
    if (this.#parquet === null) return;
    const file = this.#parquet.finish();
    this.#parquet = null;
    this.#fileRows = 0;
    this.#fileStringBytes = 0;
    this.#files.push(await this.#options.store(file, this.#options.day));
  }
}

function rowGroupRowsOf({ layout, limits, rowsExpected }: DataFileWriterOptions): number {
  const byValues = Math.max(1024, Math.floor(limits.rowGroupValuesMax / layout.specs.length));
  return Math.max(1, Math.min(limits.rowGroupRowsMax, byValues, rowsExpected));
}
