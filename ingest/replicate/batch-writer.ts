import type { ConsistencyLevel } from '../../core/catalog/types.js';
import { encodeBatch } from '../../core/codec/batch-codec.js';
import type { Batch, NodeId } from '../../core/model/batch.js';
import type { TableRows } from '../../core/model/columns.js';
import { type HybridClock, stampMs } from '../../core/model/hybrid-clock.js';
import type { ShardRows } from '../route/router.js';
import type { ReplicateResult, Replicator } from './replicator.js';
import { Sequences } from './sequences.js';

/** A batch takes no further request once it holds about this many bytes. */
const batchBytesTarget = 1 << 20;
/** Batches of one shard under way at once: enough to keep the WAL's group commit busy, few enough to coalesce. */
const batchesInFlightMax = 4;

interface PendingWrite {
  readonly rows: ShardRows;
  readonly level: ConsistencyLevel;
  readonly bytes: number;
  readonly settle: (result: ReplicateResult) => void;
  readonly fail: (error: unknown) => void;
}

interface ShardQueue {
  readonly pending: PendingWrite[];
  inFlight: number;
}

/**
 * Makes batches of the rows that requests bring. A request that comes while the shard has its number of batches
 * under way waits and shares the next one with the others that wait, so that many small requests make few batches.
 */
export class BatchWriter {
  readonly #node: NodeId;
  readonly #epoch: number;
  readonly #clock: HybridClock;
  readonly #replicator: Replicator;
  readonly #sequences = new Sequences();
  readonly #queues = new Map<string, ShardQueue>();

  constructor(options: {
    readonly node: NodeId;
    readonly epoch: number;
    readonly clock: HybridClock;
    readonly replicator: Replicator;
  }) {
    this.#node = options.node;
    this.#epoch = options.epoch;
    this.#clock = options.clock;
    this.#replicator = options.replicator;
  }

  /** Resolves when the level is met for the batch that the rows went into, or cannot be (see Replicator). */
  write(rows: ShardRows, level: ConsistencyLevel): Promise<ReplicateResult> {
    const { database, group, shard } = rows.address;
    // Requests of different levels share no batch, so that each is answered by its own level.
    const key = `${database}\0${group}\0${shard}\0${level}`;
    return new Promise((settle, fail) => {
      const queue = this.#queues.get(key) ?? { pending: [], inFlight: 0 };
      this.#queues.set(key, queue);
      queue.pending.push({ rows, level, bytes: estimateBytes(rows.tables), settle, fail });
      this.#pump(key, queue);
    });
  }

  #pump(key: string, queue: ShardQueue): void {
    while (queue.pending.length > 0 && queue.inFlight < batchesInFlightMax) {
      let bytes = 0;
      let count = 0;
      while (count < queue.pending.length && (count === 0 || bytes < batchBytesTarget)) {
        bytes += queue.pending[count]?.bytes ?? 0;
        count += 1;
      }
      void this.#send(key, queue, queue.pending.splice(0, count));
    }
  }

  async #send(key: string, queue: ShardQueue, writes: readonly PendingWrite[]): Promise<void> {
    queue.inFlight += 1;
    try {
      const [first] = writes;
      if (first === undefined) return;
      const { database, group, shard } = first.rows.address;
      const stamp = this.#clock.next();
      const sequence = this.#sequences.next(`${database}\0${group}\0${shard}`, stampMs(stamp));
      const batch: Batch = {
        id: { origin: this.#node, epoch: this.#epoch, sequence },
        stamp,
        database,
        group,
        shard,
        tables: writes.flatMap((write) => write.rows.tables),
      };
      const result = await this.#replicator.replicate(batch, encodeBatch(batch), first.rows, first.level);
      for (const write of writes) write.settle(result);
      if (result.kind === 'closed') this.#sequences.forget(`${database}\0${group}\0${shard}`);
    } catch (error) {
      for (const write of writes) write.fail(error);
    } finally {
      queue.inFlight -= 1;
      this.#pump(key, queue);
      if (queue.inFlight === 0 && queue.pending.length === 0) this.#queues.delete(key);
    }
  }
}

/** About the bytes that the rows take encoded, in memory as in the WAL. */
export function estimateBytes(tables: readonly TableRows[]): number {
  let bytes = 0;
  for (const rows of tables) {
    bytes += rows.rowCount * 12 + rows.seriesKeys.bytes.length + rows.seriesKeys.offsets.length * 4;
    for (const field of rows.fields) {
      if (field.type === 'string') bytes += field.values.bytes.length + rows.rowCount * 4;
      else bytes += rows.rowCount * (field.type === 'boolean' ? 1 : 8);
    }
  }
  return bytes;
}
