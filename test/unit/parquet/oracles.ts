import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type Table, tableFromIPC, type Vector } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { readParquet } from 'parquet-wasm';
import { readParquetRowGroups } from '../../../core/parquet/parquet-reader.js';
import type { ParquetColumnSpec } from '../../../core/parquet/types.js';
import { fromColumnData, type PlainValue } from './plain-columns.js';

/** Reads a whole file to plain values, column by column, in the order of the specs. */
export type Oracle = (bytes: Uint8Array, specs: readonly ParquetColumnSpec[]) => Promise<PlainValue[][]>;

export async function readOurs(
  bytes: Uint8Array,
  specs: readonly ParquetColumnSpec[],
): Promise<PlainValue[][]> {
  const columns: PlainValue[][] = specs.map(() => []);
  for (const group of readParquetRowGroups(bytes)) {
    group.columns.forEach((data, index) => {
      columns[index] = columns[index]!.concat(fromColumnData(data));
    });
  }
  return columns;
}

/** hyparquet gives decimals as numbers; `closeTo` compares those. */
export async function readWithHyparquet(
  bytes: Uint8Array,
  specs: readonly ParquetColumnSpec[],
): Promise<PlainValue[][]> {
  const file = new Uint8Array(bytes).buffer;
  const rows = await parquetReadObjects({
    file,
    compressors,
    parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
  });
  return specs.map(({ name }) => rows.map((row) => (row[name] ?? null) as PlainValue));
}

export async function readWithParquetWasm(
  bytes: Uint8Array,
  specs: readonly ParquetColumnSpec[],
): Promise<PlainValue[][]> {
  const table: Table = tableFromIPC(readParquet(bytes).intoIPCStream());
  return specs.map((spec) => {
    const vector: Vector = table.getChild(spec.name)!;
    return spec.kind === 'time' ? rawTimes(vector) : Array.from(vector, toPlain);
  });
}

/** Arrow's own accessor turns timestamps into milliseconds. */
function rawTimes(vector: Vector): PlainValue[] {
  return vector.data.flatMap((data) => Array.from(data.values as BigInt64Array));
}

function toPlain(value: unknown): PlainValue {
  if (!(value instanceof Uint32Array)) return value as PlainValue;
  return value.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

/** DuckDB with a directory for its files; `close` ends both. */
export class DuckDbOracle {
  readonly #directory = mkdtempSync(join(tmpdir(), 'varve-parquet-'));
  #connection: DuckDBConnection | undefined;
  #files = 0;

  /** Puts the file where SQL finds it; returns its quoted path. */
  place(bytes: Uint8Array): string {
    const path = join(this.#directory, `${this.#files++}.parquet`);
    writeFileSync(path, bytes);
    return `'${path}'`;
  }

  /** The columns of an answer. */
  async columns(sql: string): Promise<PlainValue[][]> {
    this.#connection ??= await (await DuckDBInstance.create()).connect();
    return (await this.#connection.runAndReadAll(sql)).getColumns() as PlainValue[][];
  }

  async read(bytes: Uint8Array, specs: readonly ParquetColumnSpec[]): Promise<PlainValue[][]> {
    const selected = specs.map((spec) => {
      const name = `"${spec.name.replaceAll('"', '""')}"`;
      if (spec.kind === 'time') return `epoch_us(${name})`;
      return spec.kind === 'field' && spec.type === 'ubigint' ? `${name}::UBIGINT` : name;
    });
    return this.columns(`SELECT ${selected.join(', ')} FROM ${this.place(bytes)}`);
  }

  close(): void {
    this.#connection?.closeSync();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
