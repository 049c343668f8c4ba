import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SystemClock } from '../../../core/adapters/clock-system.js';
import { FileSystemDisk } from '../../../core/adapters/disk-filesystem.js';
import { FileSystemObjectStore } from '../../../core/adapters/object-store-filesystem.js';
import type { Database, GroupKind, GroupList, ShardGroup, TableRecord } from '../../../core/catalog/types.js';
import { emptyHistoryRoot, emptySnapshotId, historyRoot } from '../../../core/iceberg/history-root.js';
import type { DataFile, SnapshotFiles } from '../../../core/iceberg/types.js';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import { type FieldColumn, packStrings, type TableRows } from '../../../core/model/columns.js';
import {
  type Column,
  sortedTagNames,
  type TableSchema,
  timeFieldId,
  timeNsFieldId,
} from '../../../core/model/schema.js';
import { encodeSeriesKey } from '../../../core/model/series-key.js';
import { floorTo } from '../../../core/model/window.js';
import { ParquetWriter } from '../../../core/parquet/parquet-writer.js';
import type { ParquetColumnData, ParquetColumnSpec } from '../../../core/parquet/types.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotConflicts } from '../../../ingest/hot/hot-conflicts.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import { ParquetFiles } from '../../../query/cache/parquet-files.js';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import { unwatched } from '../../../query/engine/engine-watch.js';
import type { ExecuteRequest, QueryEngine } from '../../../query/engine/query-engine.js';
import { noQueryMetrics } from '../../../query/query-metrics.js';
import type { QueryRequest } from '../../../query/query-request.js';
import { defaultQueryLimits, type QueryLimits, QueryService } from '../../../query/query-service.js';
import type { QueryCatalog, SettledReader } from '../../../query/query-sources.js';

export type FieldValue = number | bigint | boolean | string;

/** A point as a test writes it; tags and fields that it lacks are left out. */
export interface Point {
  readonly timeNs: bigint;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, FieldValue>>;
}

export interface HotGroupOptions {
  readonly kind: GroupKind;
  readonly state?: 'open' | 'closing';
  readonly closeSequence?: number | null;
  readonly startNs?: bigint;
  readonly endNs?: bigint;
}

const node = 'n1' as NodeId;

/** For engines whose defects nobody waits for. */
export const noWatch = unwatched(new SystemClock());

/**
 * A database without the parts that make one: files and hot groups are put where a test wants them. Real Parquet
 * files, the real hot tier, the real engine; only the catalog is a map.
 */
export class Warehouse {
  readonly directory = mkdtempSync(join(tmpdir(), 'varve-query-'));
  readonly objects = new FileSystemObjectStore(join(this.directory, 'settled'));
  readonly tier = new HotTier({ bytesMax: 2 ** 32, logger: silentLogger });
  readonly hot = new HotTierReader({ tier: this.tier, giveWay: async () => {} });
  readonly conflicts = new HotConflicts({
    tier: this.tier,
    giveWay: async () => {},
    logger: silentLogger,
  });
  readonly clock = new SimulatedClock({ startMs: Date.UTC(2016, 0, 2) });
  readonly database: Database = {
    name: 'db',
    id: 'db-1',
    createdMs: 0,
    windowMs: 600_000,
    graceMs: 0,
    lateDelayMs: 0,
    lateBytesMax: 2 ** 30,
    retentionMs: null,
    historyMs: 86_400_000,
    replication: 1,
    shards: 1,
    consistency: 'one',
  };
  readonly records = new Map<string, TableRecord>();
  readonly snapshots = new Map<string, SnapshotFiles>();
  groups: ShardGroup[] = [];
  settledThroughNs = 0n;
  /** Called when the engine is given a statement. */
  onExecute: (request: ExecuteRequest) => void = () => {};
  #batches = 0;
  #snapshotIds = 0;
  #engine: QueryEngine | undefined;

  /** Opens an engine in this thread and gives the service over it. */
  async open(limits: Partial<QueryLimits> = {}): Promise<QueryService> {
    mkdirSync(join(this.directory, 'settled'), { recursive: true });
    const engine = await DuckDbEngine.open(this.engineOptions(), noWatch);
    this.#engine = engine;
    const execute = engine.execute.bind(engine);
    engine.execute = (request, signal) => {
      this.onExecute(request);
      return execute(request, signal);
    };
    return this.serviceOver(engine, limits);
  }

  engineOptions() {
    return {
      threads: 2,
      memoryBytesMax: 256 * 2 ** 20,
      spillDirectory: join(this.directory, 'spill'),
      spillBytesMax: 2 ** 30,
      settledDirectories: [join(this.directory, 'settled')],
    };
  }

  serviceOver(engine: QueryEngine, limits: Partial<QueryLimits> = {}): QueryService {
    const cache = join(this.directory, 'cache');
    return new QueryService({
      catalog: this.catalog,
      settled: this.settled,
      hot: this.hot,
      conflicts: this.conflicts,
      files: new ParquetFiles({
        objects: this.objects,
        disk: new FileSystemDisk(cache),
        root: cache,
        bytesMax: 2 ** 30,
        metrics: noQueryMetrics,
      }),
      engine,
      clock: this.clock,
      limits: { ...defaultQueryLimits, ...limits },
      metrics: noQueryMetrics,
      logger: silentLogger,
    });
  }

  async close(): Promise<void> {
    await this.#engine?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  readonly catalog: QueryCatalog = {
    getDatabase: async (name) => (name === this.database.name ? this.database : undefined),
    getGroups: async () => this.groupList(),
    getTable: async (_database, table) => this.records.get(table),
    listTables: async () => [...this.records.values()],
  };

  readonly settled: SettledReader = {
    snapshot: async (record, id) => {
      const wanted = id ?? record.snapshotId ?? emptySnapshotId;
      if (wanted === emptySnapshotId) {
        return { snapshotId: wanted, historyRoot: emptyHistoryRoot, schema: record.schema, files: [] };
      }
      const snapshot = this.snapshots.get(`${record.table}/${wanted}`);
      if (snapshot === undefined) throw new VarveError('not-found', `snapshot ${wanted} has expired`);
      return snapshot;
    },
  };

  groupList(): GroupList {
    return {
      database: this.database.name,
      settledThroughNs: this.settledThroughNs,
      groups: this.groups,
      nextGroup: 1,
      nextCloseSequence: 1,
      fencingEpoch: 0,
    } as unknown as GroupList;
  }

  addTable(schema: TableSchema): void {
    this.records.set(schema.table, {
      database: this.database.name,
      table: schema.table,
      schema,
      tableUuid: `uuid-${schema.table}`,
      metadataKey: null,
      snapshotId: null,
      historyRoot: null,
      sealedGroups: [],
      fencingEpoch: 0,
    });
  }

  /** Replaces the table's schema, as a write that brings a new column does. */
  setSchema(schema: TableSchema): void {
    this.records.set(schema.table, { ...this.#record(schema.table), schema });
  }

  /** Seals points into one file: a new snapshot with all files so far. */
  async seal(
    table: string,
    points: readonly Point[],
    options: {
      readonly sequence: number;
      readonly groups?: readonly GroupId[];
      readonly columns?: readonly string[];
    },
  ): Promise<void> {
    const record = this.#record(table);
    const file = await this.#writeFile(record.schema, points, options);
    const before = this.snapshots.get(`${table}/${record.snapshotId}`);
    const files = [...(before?.files ?? []), file];
    const snapshotId = String(++this.#snapshotIds);
    const root = historyRoot(files);
    this.snapshots.set(`${table}/${snapshotId}`, {
      snapshotId,
      historyRoot: root,
      schema: record.schema,
      files,
    });
    this.records.set(table, {
      ...record,
      snapshotId,
      historyRoot: root,
      sealedGroups: [...record.sealedGroups, ...(options.groups ?? [])],
    });
  }

  /** Makes a group in flux and answers its id. */
  addGroup(options: HotGroupOptions): GroupId {
    const id = `${options.kind[0]}${String(this.groups.length + 1).padStart(12, '0')}` as GroupId;
    this.groups.push({
      id,
      kind: options.kind,
      startNs: options.startNs ?? null,
      endNs: options.endNs ?? null,
      createdMs: 0,
      closeAfterMs: 0,
      state: options.state ?? 'open',
      closeSequence: options.closeSequence ?? null,
      closedMs: null,
      shards: [{ owners: [node] }, { owners: [node] }],
      sealedBatches: null,
      sealedMs: null,
      released: [],
    });
    return id;
  }

  /** Writes points to a shard of a group in flux. */
  write(table: string, group: GroupId, points: readonly Point[], shard = 0): void {
    if (points.length === 0) return;
    const sequence = ++this.#batches;
    this.tier.apply(
      {
        database: this.database.id,
        group,
        shard,
        id: { origin: node, epoch: 1, sequence },
        stamp: BigInt(sequence) << 16n,
        tables: [tableRows(this.#record(table).schema, points)],
      },
      createHash('sha256').update(String(sequence)).digest().subarray(0, 16),
      100,
    );
  }

  #record(table: string): TableRecord {
    const record = this.records.get(table);
    if (record === undefined) throw new Error(`no table ${table}`);
    return record;
  }

  async #writeFile(
    schema: TableSchema,
    points: readonly Point[],
    options: { readonly sequence: number; readonly columns?: readonly string[] },
  ): Promise<DataFile> {
    const columns = schema.columns.filter(
      (column) => options.columns === undefined || options.columns.includes(column.name),
    );
    const tags = sortedTagNames(schema);
    const sorted = [...points].sort((left, right) => comparePoints(left, right, tags));
    const specs = fileSpecs(schema, columns);
    const writer = new ParquetWriter(specs);
    for (let at = 0; at < sorted.length; at += rowGroupRows) {
      const slice = sorted.slice(at, at + rowGroupRows);
      writer.writeRowGroup(
        slice.length,
        specs.map((spec) => fileColumn(spec, slice)),
      );
    }
    const file = writer.finish();
    const contentHash = createHash('sha256').update(file.bytes).digest('hex');
    const key = `data/${contentHash}.parquet`;
    await this.objects.put(key, file.bytes);
    const times = points.map((point) => point.timeNs);
    return {
      key,
      contentHash,
      bytes: file.bytes.length,
      rows: file.rowCount,
      day: null,
      minTimeNs: times.toSorted(compareTimes)[0] ?? 0n,
      maxTimeNs: times.toSorted(compareTimes).at(-1) ?? 0n,
      columns: file.columns,
      rowGroupOffsets: file.rowGroupOffsets,
      sortedBy: tags,
      sequence: options.sequence,
    };
  }
}

const rowGroupRows = 50_000;

function compareTimes(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function comparePoints(left: Point, right: Point, tags: readonly string[]): number {
  for (const tag of tags) {
    const a = left.tags[tag] ?? '';
    const b = right.tags[tag] ?? '';
    if (a !== b) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return compareTimes(left.timeNs, right.timeNs);
}

function fileSpecs(schema: TableSchema, columns: readonly Column[]): ParquetColumnSpec[] {
  return [
    { kind: 'time', name: 'time', fieldId: timeFieldId },
    ...(schema.hasTimeNs ? [{ kind: 'time-ns', name: 'time_ns', fieldId: timeNsFieldId } as const] : []),
    ...columns.map(({ name, kind, type, fieldId }) =>
      kind === 'tag' ? ({ kind, name, fieldId } as const) : ({ kind, name, fieldId, type } as const),
    ),
  ];
}

function fileColumn(spec: ParquetColumnSpec, points: readonly Point[]): ParquetColumnData {
  switch (spec.kind) {
    case 'time':
      return {
        kind: 'time',
        micros: BigInt64Array.from(points, (point) => floorTo(point.timeNs, 1000n) / 1000n),
      };
    case 'time-ns':
      return {
        kind: 'time-ns',
        nanos: Int32Array.from(points, (point) => Number(point.timeNs - floorTo(point.timeNs, 1000n))),
      };
    case 'tag': {
      const distinct = [...new Set(points.flatMap((point) => point.tags[spec.name] ?? []))];
      const codes = Int32Array.from(points, (point) => {
        const value = point.tags[spec.name];
        return value === undefined ? -1 : distinct.indexOf(value);
      });
      return {
        kind: 'tag',
        tags: { codes, dictionary: packStrings(distinct.map((value) => Buffer.from(value))) },
      };
    }
    case 'field': {
      const values = points.map((point) => point.fields[spec.name]);
      const column = fieldColumn(spec.name, spec.type, values);
      return { ...column, kind: 'field' } as unknown as ParquetColumnData;
    }
  }
}

function fieldColumn(
  name: string,
  type: FieldColumn['type'],
  present: readonly (FieldValue | undefined)[],
): FieldColumn {
  const isFull = present.every((value) => value !== undefined);
  const validity = isFull ? null : Uint8Array.from(present, (value) => (value === undefined ? 0 : 1));
  switch (type) {
    case 'double':
      return { name, type, validity, values: Float64Array.from(present, (value) => Number(value ?? 0)) };
    case 'bigint':
      return { name, type, validity, values: BigInt64Array.from(present, (value) => BigInt(value ?? 0)) };
    case 'ubigint':
      return { name, type, validity, values: BigUint64Array.from(present, (value) => BigInt(value ?? 0)) };
    case 'boolean':
      return { name, type, validity, values: Uint8Array.from(present, (value) => (value === true ? 1 : 0)) };
    case 'string': {
      const values = packStrings(present.map((value) => Buffer.from(String(value ?? ''))));
      return { name, type, validity, values };
    }
  }
}

function tableRows(schema: TableSchema, points: readonly Point[]): TableRows {
  const keys = points.map((point) =>
    encodeSeriesKey(Object.entries(point.tags).map(([name, value]) => ({ name, value }))),
  );
  const distinct = new Map<string, { readonly index: number; readonly key: Uint8Array }>();
  for (const key of keys) {
    const text = Buffer.from(key).toString('latin1');
    if (!distinct.has(text)) distinct.set(text, { index: distinct.size, key });
  }
  const fields = schema.columns.flatMap((column) => {
    if (column.kind === 'tag') return [];
    const values = points.map((point) => point.fields[column.name]);
    return values.every((value) => value === undefined)
      ? []
      : [fieldColumn(column.name, column.type, values)];
  });
  return {
    table: schema.table,
    rowCount: points.length,
    seriesKeys: packStrings([...distinct.values()].map(({ key }) => key)),
    series: Int32Array.from(keys, (key) => distinct.get(Buffer.from(key).toString('latin1'))?.index ?? 0),
    timesNs: BigInt64Array.from(points, (point) => point.timeNs),
    fields,
  };
}

/** A schema in few words: names of tags, and fields as `name: type`. */
export function schemaOf(
  table: string,
  tags: readonly string[],
  fields: Readonly<Record<string, FieldColumn['type']>>,
  hasTimeNs = false,
): TableSchema {
  const columns: Column[] = tags.map((name, index) => ({
    name,
    kind: 'tag',
    type: 'string',
    fieldId: index + 3,
  }));
  for (const [name, type] of Object.entries(fields)) {
    columns.push({ name, kind: 'field', type, fieldId: columns.length + 3 });
  }
  return { table, columns, hasTimeNs };
}

/** A question with the usual answers to everything else. */
export function asked(sql: string, rest: Partial<QueryRequest> = {}): QueryRequest {
  return {
    database: 'db',
    sql,
    parameters: {},
    format: 'json',
    tier: 'all',
    snapshot: null,
    ifNoneMatch: null,
    ...rest,
  };
}

/** The bytes of an answer. */
export async function bodyOf(service: QueryService, request: QueryRequest): Promise<Uint8Array> {
  const answer = await service.query(request);
  if (answer.kind !== 'answer') throw new Error(`got ${answer.kind}`);
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The rows of an answer as JSON. */
export async function rowsOf(
  service: QueryService,
  sql: string,
  rest: Partial<QueryRequest> = {},
): Promise<Record<string, unknown>[]> {
  const bytes = await bodyOf(service, asked(sql, rest));
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>[];
}
