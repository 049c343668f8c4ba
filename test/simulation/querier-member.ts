import type { Catalogs } from '../../cli/serve/catalogs.js';
import { parquetBlocks } from '../../compactor/rows/parquet-blocks.js';
import { rowLayoutOf } from '../../compactor/rows/row-layout.js';
import { decodeArrowRows } from '../../core/codec/arrow-decoder.js';
import type { DataFile } from '../../core/iceberg/types.js';
import { stringBytes } from '../../core/model/columns.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import type { QueryEngine } from '../../query/engine/query-engine.js';
import { HotBudget, readHotSource } from '../../query/hot-scans.js';
import { OwnerHotReader } from '../../query/owner-hot-reader.js';
import { encodeSnapshotToken } from '../../query/plan/snapshot-token.js';
import { type PlannedTable, QueryPlanner } from '../../query/query-planner.js';
import { queryCatalog } from '../../query/query-sources.js';
import type { PreparedSql } from '../../query/sql-preparer.js';
import { pointsOfBlock } from '../unit/compactor/read-points.js';
import { database, type Ground } from './ground.js';
import { pointName } from './ledger.js';
import { remoteNode } from './remote-node.js';
import type { SimulatedProcess } from './simulated-process.js';

/** The points of an answer: field values by point. */
export type AnswerPoints = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** What a querier answered. */
export interface Answer {
  readonly points: AnswerPoints;
  /** Points that stood in two parts of the plan, which are promised to have none in common. */
  readonly doubled: readonly string[];
  readonly settledThroughNs: bigint;
  readonly snapshotId: string | null;
}

export interface Question {
  readonly table: string;
  readonly tier: 'all' | 'settled';
  /** Default quorum. */
  readonly consistency?: 'one' | 'quorum';
  /** A snapshot of the past. */
  readonly snapshotId?: string;
}

/** Plans of one question that may go stale before they are read. */
const triesMax = 5;

/**
 * A querier: the planner, the hot scans and the files of a real one. Only SQL is missing: the engine's threads are
 * not deterministic, so the plan of `SELECT * FROM table` is read here, its parts put together by the merge rule.
 */
export class QuerierMember {
  readonly process: SimulatedProcess;
  readonly #ground: Ground;
  readonly #planner: QueryPlanner;
  readonly #hot: OwnerHotReader;
  readonly #objects: ObjectStore;
  readonly #databases: Catalogs['databases'];

  constructor(ground: Ground, name: string) {
    const process = ground.process(name);
    const { mutations, network } = ground;
    const catalogs = ground.catalogsOf(process);
    const catalog = queryCatalog(catalogs);
    this.process = process;
    this.#databases = catalogs.databases;
    this.#ground = ground;
    this.#objects = ground.stores.objectsOf(process);
    this.#hot = new OwnerHotReader({
      nodeOf: (node) => {
        const service = remoteNode(network, process, node);
        return mutations.ownerOfQuery?.(service) ?? service;
      },
      clock: process,
    });
    this.#planner = new QueryPlanner({
      catalog: mutations.queryCatalog?.(catalog) ?? catalog,
      settled: ground.settledOf(process, catalogs),
      hot: this.#hot,
      engine: noEngine,
    });
  }

  /** Every point of a table. Errors as a querier has them. */
  async ask(question: Question): Promise<Answer> {
    const { signal } = new AbortController();
    for (let attempt = 1; ; attempt++) {
      const plan = await this.#planner.plan(
        {
          database,
          prepared: selectAll(question.table),
          parameters: {},
          tier: question.tier,
          consistency: this.#ground.mutations.consistency ?? question.consistency ?? 'quorum',
          snapshot: await this.#token(question),
          nowMicros: BigInt(this.process.nowMs()) * 1000n,
        },
        signal,
      );
      const planned = plan.tables[0];
      if (planned === undefined) throw new VarveError('internal', 'a plan without its table');
      try {
        const read = new PlanReading(question.table);
        await this.#readParts(plan.database, planned, read, signal);
        return {
          points: read.points,
          doubled: read.doubled,
          settledThroughNs: plan.settledThroughNs,
          snapshotId: planned.snapshot.snapshotId,
        };
      } catch (error) {
        // A group that was sealed and dropped since the plan was made.
        if (!isVarveError(error, 'not-found') || attempt === triesMax) throw error;
        this.#ground.trace.note(`${this.process.name} plans again: ${error.message}`);
      }
    }
  }

  async #token({ table, snapshotId }: Question): Promise<string | null> {
    if (snapshotId === undefined) return null;
    const { id } = (await this.#databases.get(database)) ?? { id: '' };
    return encodeSnapshotToken({ databaseId: id, tables: { [table]: snapshotId } });
  }

  async #readParts(
    owner: Parameters<typeof readHotSource>[1]['database'],
    { plan }: PlannedTable,
    read: PlanReading,
    signal: AbortSignal,
  ): Promise<void> {
    const budget = new HotBudget(2 ** 30);
    for (const part of plan.parts) {
      read.beginPart();
      const sources =
        part.kind === 'merge'
          ? part.sources
          : part.kind === 'hot'
            ? [part.source]
            : part.files.map((file) => ({ kind: 'settled' as const, file }));
      for (const source of sources) {
        // Files that stand alone have no point in common either.
        if (part.kind === 'settled') read.beginPart();
        read.beginSource();
        if (source.kind === 'settled') {
          await this.#readFile(source.file, plan.schema, read);
          continue;
        }
        const request = { database: owner, plan, source, mentioned: 'all' as const, id: '' };
        const scan = await readHotSource(this.#hot, request, budget, signal);
        for (const stream of scan.streams) await readStream(stream, read);
      }
    }
  }

  async #readFile(
    file: DataFile,
    schema: Parameters<typeof rowLayoutOf>[0],
    read: PlanReading,
  ): Promise<void> {
    const layout = rowLayoutOf(schema);
    for await (const block of parquetBlocks(await this.#objects.get(file.key), layout)) {
      for (const point of pointsOfBlock(block, layout))
        read.add(point.tags['host'] ?? '', point.timeNs, point.fields);
    }
  }
}

/** Puts the parts of a plan together. */
class PlanReading {
  readonly points = new Map<string, Record<string, number>>();
  readonly doubled: string[] = [];
  readonly #table: string;
  #part = 0;
  #source = 0;
  readonly #partOf = new Map<string, number>();
  readonly #sourceOf = new Map<string, number>();

  constructor(table: string) {
    this.#table = table;
  }

  beginPart(): void {
    this.#part += 1;
  }

  beginSource(): void {
    this.#source += 1;
  }

  /** Of sources of one part the later ones win. */
  add(host: string, timeNs: bigint, fields: Readonly<Record<string, unknown>>): void {
    const name = pointName(this.#table, { tags: { host }, timeNs });
    const before = this.#partOf.get(name);
    if (before !== undefined && (before !== this.#part || this.#sourceOf.get(name) === this.#source)) {
      this.doubled.push(name);
    }
    this.#partOf.set(name, this.#part);
    this.#sourceOf.set(name, this.#source);
    this.points.set(name, { ...this.points.get(name), ...(fields as Record<string, number>) });
  }
}

async function readStream(pieces: readonly Uint8Array[], read: PlanReading): Promise<void> {
  const source = (async function* () {
    yield* pieces;
  })();
  for await (const rows of decodeArrowRows(source)) {
    const host = rows.tags.find((tag) => tag.name === 'host');
    for (let row = 0; row < rows.rowCount; row++) {
      const fields: Record<string, number> = {};
      for (const field of rows.fields) {
        if (field.type !== 'double' || (field.validity !== null && field.validity[row] === 0)) continue;
        fields[field.name] = field.values[row] ?? 0;
      }
      const code = host?.codes[row] ?? -1;
      const value =
        code < 0 || host === undefined ? '' : Buffer.from(stringBytes(host.dictionary, code)).toString();
      read.add(value, rows.timesNs[row] ?? 0n, fields);
    }
  }
}

const noEngine: QueryEngine = {
  parse: () => Promise.reject(new Error('no SQL here')),
  tableNames: () => Promise.reject(new Error('no SQL here')),
  print: () => Promise.reject(new Error('no SQL here')),
  evaluate: () => Promise.reject(new Error('no SQL here')),
  execute: () => Promise.reject(new Error('no SQL here')),
  close: async () => {},
};

/** `SELECT * FROM table`, parsed and admitted. */
function selectAll(table: string): PreparedSql {
  const reference = { type: 'BASE_TABLE', table_name: table };
  const root = { type: 'SELECT_NODE', from_table: reference };
  return {
    command: { explain: 'no', sql: `SELECT * FROM "${table}"`, table: null },
    tree: root,
    root,
    facts: {
      tables: [{ name: table, node: reference }],
      informationSchema: [],
      readsConflicts: false,
      hasCtes: false,
      hasOffsets: false,
      placeholders: new Set(),
      isDeterministic: true,
    },
  };
}
