import type { ConsistencyLevel } from '../../core/catalog/types.js';
import { decodeBatch } from '../../core/codec/batch-codec.js';
import {
  type Batch,
  batchIdText,
  compareBatchPrecedence,
  type EncodedBatch,
  type GroupId,
} from '../../core/model/batch.js';
import { type PlainPoint, pointsOf } from '../support/rows.js';

/** Field by field the value of a point; every value is written by one attempt only, so it names its writer. */
export type Values = Readonly<Record<string, number>>;

/** A row that a client asked to be written. */
export interface WrittenRow {
  readonly table: string;
  readonly point: PlainPoint;
}

/** One request of a client. */
export interface WriteAttempt {
  readonly number: number;
  readonly node: string;
  readonly level: ConsistencyLevel;
  readonly rows: readonly WrittenRow[];
  readonly startMs: number;
  /** Time of the acknowledgement; null while there is none. */
  ackedMs: number | null;
  /** Highest level at which these very rows were acknowledged, by this attempt or a retry of it. */
  readonly retryOf: number | null;
}

/** A batch as some node has put it into its log. */
export interface KnownBatch {
  readonly batch: Pick<Batch, 'id' | 'stamp' | 'group' | 'shard'>;
  readonly rows: readonly WrittenRow[];
}

/** Name of a point in maps. */
export function pointName(table: string, point: Pick<PlainPoint, 'tags' | 'timeNs'>): string {
  return `${table} ${point.tags['host'] ?? ''} ${point.timeNs}`;
}

/** Everything that clients wrote and nodes logged. The batches are what the model of the truth is made of. */
export class Ledger {
  readonly attempts: WriteAttempt[] = [];
  /** By group and id. */
  readonly #batches = new Map<string, KnownBatch>();
  readonly #batchesByValue = new Map<number, KnownBatch[]>();
  readonly #ids = new Set<string>();
  #nextValue = 1;

  /** A number that no other row has. */
  nextValue(): number {
    return this.#nextValue++;
  }

  attempt(attempt: WriteAttempt): void {
    this.attempts.push(attempt);
  }

  /** A node logs a batch: its content is known from now on. `re-routed`: it was known of another group. */
  logged(encoded: EncodedBatch): 'new' | 'known' | 're-routed' {
    const id = batchIdText(encoded.id);
    const key = `${encoded.group}|${id}`;
    if (this.#batches.has(key)) return 'known';
    const batch = decodeBatch(encoded.bytes);
    const rows = batch.tables.flatMap((table) =>
      pointsOf(table).map((point) => ({ table: table.table, point })),
    );
    const known = { batch, rows };
    this.#batches.set(key, known);
    for (const { point } of rows) {
      for (const value of Object.values(point.fields)) {
        const holders = this.#batchesByValue.get(Number(value)) ?? [];
        this.#batchesByValue.set(Number(value), [...holders, known]);
      }
    }
    const isNew = !this.#ids.has(id);
    this.#ids.add(id);
    return isNew ? 'new' : 're-routed';
  }

  /** The batch of that id in the group; undefined when no node ever logged it. */
  batch(group: GroupId, id: string): KnownBatch | undefined {
    return this.#batches.get(`${group}|${id}`);
  }

  /** Batches that carry the value. */
  batchesWith(value: number): readonly KnownBatch[] {
    return this.#batchesByValue.get(value) ?? [];
  }
}

/** The points of a table that batches make by the merge rule, groups in order of closing. */
export function foldBatches(groups: readonly (readonly KnownBatch[])[]): Map<string, Record<string, number>> {
  const points = new Map<string, Record<string, number>>();
  for (const batches of groups) {
    const ordered = [...batches].sort((left, right) => compareBatchPrecedence(left.batch, right.batch));
    for (const { rows } of ordered) {
      for (const { table, point } of rows) {
        const name = pointName(table, point);
        points.set(name, { ...points.get(name), ...(point.fields as Values) });
      }
    }
  }
  return points;
}
