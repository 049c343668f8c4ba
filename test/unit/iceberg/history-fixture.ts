import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import type { Database, TableRecord, Versioned } from '../../../core/catalog/types.js';
import type {
  DatabaseIdentity,
  TableCommitPoint,
  TableCommitResult,
  TableRecordChange,
} from '../../../core/iceberg/commit-point.js';
import { contentHashOf, dataFileKey } from '../../../core/iceberg/object-paths.js';
import { SettledTables, type SettledTablesOptions } from '../../../core/iceberg/settled-tables.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import type { GroupId } from '../../../core/model/batch.js';
import { packStrings } from '../../../core/model/columns.js';
import { type Column, sortedTagNames, type TableSchema } from '../../../core/model/schema.js';
import { dayOf, floorTo } from '../../../core/model/window.js';
import { ParquetWriter } from '../../../core/parquet/parquet-writer.js';
import type { ParquetColumnData, ParquetColumnSpec } from '../../../core/parquet/types.js';
import type { ObjectStore } from '../../../core/ports/object-store.js';
import { silentLogger } from '../../../core/std/logger.js';

export const database: Database = {
  name: 'metrics',
  id: 'db-0001',
  createdMs: 0,
  windowMs: 600_000,
  graceMs: 300_000,
  lateDelayMs: 60_000,
  lateBytesMax: 2 ** 28,
  retentionMs: null,
  historyMs: 86_400_000,
  replication: 1,
  shards: 1,
  consistency: 'quorum',
};

export const tableUuid = '9b1f0c3e-4f1a-4d4e-8a54-0d7f6a2b3c4d';

/** Every type a column can have. */
export const cpuColumns: readonly Column[] = [
  { name: 'host', kind: 'tag', type: 'string', fieldId: 3 },
  { name: 'usage', kind: 'field', type: 'double', fieldId: 4 },
  { name: 'ticks', kind: 'field', type: 'bigint', fieldId: 5 },
  { name: 'bytes', kind: 'field', type: 'ubigint', fieldId: 6 },
  { name: 'up', kind: 'field', type: 'boolean', fieldId: 7 },
  { name: 'note', kind: 'field', type: 'string', fieldId: 8 },
];

export const cpuSchema: TableSchema = { table: 'cpu', columns: cpuColumns, hasTimeNs: false };

export function group(number: number): GroupId {
  return `w${String(number).padStart(12, '0')}` as GroupId;
}

export interface Row {
  readonly timeNs: bigint;
  readonly [column: string]: bigint | number | string | boolean | null;
}

/** The catalog's table record as compare-and-set, with a place to come between a read and its commit. */
export class MemoryCommitPoint implements TableCommitPoint {
  #record: TableRecord;
  #version = 1;
  /** Runs before each commit is decided. */
  beforeCommit: () => void = () => {};
  commits = 0;

  constructor(schema: TableSchema) {
    this.#record = {
      database: database.name,
      table: schema.table,
      schema,
      tableUuid,
      metadataKey: null,
      snapshotId: null,
      historyRoot: null,
      sealedGroups: [],
      fencingEpoch: 0,
    };
  }

  get record(): TableRecord {
    return this.#record;
  }

  /** As ingest does when a column appears. */
  extend(schema: TableSchema): void {
    this.#replace({ ...this.#record, schema });
  }

  /** As the compactor does when groups have left the list. */
  forgetGroups(): void {
    this.#replace({ ...this.#record, sealedGroups: [] });
  }

  /** As a compactor of a higher epoch does. */
  fence(fencingEpoch: number): void {
    this.#replace({ ...this.#record, fencingEpoch });
  }

  /** Makes the next compare-and-set fail without a change. */
  touch(): void {
    this.#replace(this.#record);
  }

  async get(asked: DatabaseIdentity, table: string): Promise<Versioned<TableRecord> | undefined> {
    if (asked.id !== database.id || table !== this.#record.table) return undefined;
    return { value: this.#record, version: this.#version };
  }

  async commit(
    _database: DatabaseIdentity,
    _table: string,
    expectedVersion: number,
    change: TableRecordChange,
    fencingEpoch: number,
  ): Promise<TableCommitResult> {
    this.beforeCommit();
    if (fencingEpoch < this.#record.fencingEpoch) return { kind: 'fenced', by: this.#record.fencingEpoch };
    if (expectedVersion !== this.#version) return { kind: 'conflict' };
    this.#replace({ ...this.#record, ...change, fencingEpoch });
    this.commits += 1;
    return { kind: 'committed', record: { value: this.#record, version: this.#version } };
  }

  #replace(record: TableRecord): void {
    this.#record = record;
    this.#version += 1;
  }
}

/** Objects in memory that independent readers reach over HTTP on the loopback. */
export class ServedObjects extends MemoryObjectStore {
  readonly #server: Server;
  #base = '';

  constructor() {
    super({ clock: new SimulatedClock() });
    this.#server = createServer((request, response) => {
      this.get(decodeURIComponent((request.url ?? '').slice(1))).then(
        (bytes) => this.#answer(bytes, request.headers.range, response),
        () => response.writeHead(404).end(),
      );
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.#base = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }

  override uriOf(key: string): string {
    return this.#base + key;
  }

  override keyOf(uri: string): string {
    return uri.slice(this.#base.length);
  }

  #answer(bytes: Uint8Array, range: string | undefined, response: import('node:http').ServerResponse): void {
    const match = /^bytes=(\d+)-(\d+)?$/.exec(range ?? '');
    if (match === null) {
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      return;
    }
    const first = Number(match[1]);
    const last = match[2] === undefined ? bytes.length - 1 : Math.min(Number(match[2]), bytes.length - 1);
    const headers = { 'content-range': `bytes ${first}-${last}/${bytes.length}` };
    response.writeHead(206, headers).end(bytes.subarray(first, last + 1));
  }
}

export interface Fixture {
  readonly objects: MemoryObjectStore;
  readonly commitPoint: MemoryCommitPoint;
  readonly clock: SimulatedClock;
  readonly tables: SettledTables;
  /** Another instance over the same stores, with a cache of its own. */
  another(options?: Partial<SettledTablesOptions>): SettledTables;
}

export function fixture(
  options: Partial<SettledTablesOptions> & {
    readonly schema?: TableSchema;
    readonly seed?: number;
    readonly store?: MemoryObjectStore;
  } = {},
): Fixture {
  const clock = new SimulatedClock({ sleeps: 'jump' });
  const { schema = cpuSchema, seed = 1, store = new MemoryObjectStore({ clock }), ...rest } = options;
  const commitPoint = new MemoryCommitPoint(schema);
  const random = new SeededRandom(seed);
  const base = { objects: store, commitPoint, clock, random, logger: silentLogger, ...rest };
  return {
    objects: store,
    commitPoint,
    clock,
    tables: new SettledTables(base),
    another: (more = {}) => new SettledTables({ ...base, ...more }),
  };
}

/** Writes rows, in the order given, as a data file of the table and puts it. */
export async function putRows(
  objects: ObjectStore,
  schema: TableSchema,
  rows: readonly Row[],
  day?: number | null,
): Promise<DataFile> {
  const { specs, data } = parquetColumns(schema, rows);
  const writer = new ParquetWriter(specs);
  writer.writeRowGroup(rows.length, data);
  const file = writer.finish();
  const contentHash = contentHashOf(file.bytes);
  const key = dataFileKey(database.id, tableUuid, contentHash);
  await objects.put(key, file.bytes);
  const times = rows.map((row) => row.timeNs);
  const minTimeNs = [...times].sort(ascending)[0] ?? 0n;
  return {
    key,
    contentHash,
    bytes: file.bytes.length,
    rows: rows.length,
    day: day === undefined ? dayOf(minTimeNs) : day,
    minTimeNs,
    maxTimeNs: [...times].sort(ascending).at(-1) ?? 0n,
    columns: file.columns,
    rowGroupOffsets: file.rowGroupOffsets,
    sortedBy: sortedTagNames(schema),
    sequence: 0,
  };
}

function parquetColumns(
  schema: TableSchema,
  rows: readonly Row[],
): { specs: ParquetColumnSpec[]; data: ParquetColumnData[] } {
  const specs: ParquetColumnSpec[] = [{ kind: 'time', name: 'time', fieldId: 1 }];
  const micros = rows.map((row) => floorTo(row.timeNs, 1000n) / 1000n);
  const data: ParquetColumnData[] = [{ kind: 'time', micros: BigInt64Array.from(micros) }];
  if (schema.hasTimeNs) {
    specs.push({ kind: 'time-ns', name: 'time_ns', fieldId: 2 });
    const nanos = rows.map((row) => Number(row.timeNs - floorTo(row.timeNs, 1000n)));
    data.push({ kind: 'time-ns', nanos: Int32Array.from(nanos) });
  }
  for (const column of schema.columns) {
    const values = rows.map((row) => row[column.name] ?? null);
    if (column.kind === 'tag') {
      specs.push({ kind: 'tag', name: column.name, fieldId: column.fieldId });
      data.push({ kind: 'tag', tags: tagCodes(values as (string | null)[]) });
    } else {
      specs.push({ kind: 'field', name: column.name, fieldId: column.fieldId, type: column.type });
      data.push(fieldData(column.type, values));
    }
  }
  return { specs, data };
}

function tagCodes(values: readonly (string | null)[]) {
  const distinct = [...new Set(values.filter((value) => value !== null))];
  return {
    codes: Int32Array.from(values, (value) => (value === null ? -1 : distinct.indexOf(value))),
    dictionary: packStrings(distinct.map((value) => Buffer.from(value))),
  };
}

function fieldData(
  type: 'double' | 'bigint' | 'ubigint' | 'boolean' | 'string',
  values: readonly (bigint | number | string | boolean | null)[],
): ParquetColumnData {
  const validity = values.includes(null)
    ? Uint8Array.from(values, (value) => (value === null ? 0 : 1))
    : null;
  switch (type) {
    case 'double':
      return {
        kind: 'field',
        type,
        validity,
        values: Float64Array.from(values, (value) => Number(value ?? 0)),
      };
    case 'bigint':
      return {
        kind: 'field',
        type,
        validity,
        values: BigInt64Array.from(values, (value) => BigInt(value ?? 0)),
      };
    case 'ubigint':
      return {
        kind: 'field',
        type,
        validity,
        values: BigUint64Array.from(values, (value) => BigInt(value ?? 0)),
      };
    case 'boolean':
      return { kind: 'field', type, validity, values: Uint8Array.from(values, (value) => (value ? 1 : 0)) };
    case 'string': {
      const strings = values.map((value) => Buffer.from(String(value ?? '')));
      return { kind: 'field', type, validity, values: packStrings(strings) };
    }
  }
}

function ascending(left: bigint, right: bigint): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
