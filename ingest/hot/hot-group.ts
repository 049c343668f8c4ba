import { normalizeSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { Batch, BatchId, GroupId } from '../../core/model/batch.js';
import type { BatchLeaf, GroupReport, ShardHoldings } from '../../core/ports/peer.js';
import { assert } from '../../core/std/assert.js';
import { BatchLog, groupDigest } from './batch-log.js';
import { Chunk } from './chunk.js';

interface Shard {
  readonly log: BatchLog;
  readonly chunks: Map<string, Chunk>;
}

/** What became of a batch: taken, known already, or refused because the group takes no more. */
export type ApplyOutcome = 'applied' | 'duplicate' | 'closed';

/** What this node holds of a shard group. */
export class HotGroup {
  readonly id: GroupId;
  readonly #shards = new Map<number, Shard>();
  #closed = false;
  #damaged = false;
  #bytes = 0;
  #rows = 0;
  #encodedBytes = 0;

  constructor(id: GroupId) {
    this.id = id;
  }

  /** Bytes of memory held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Rows held, before the merge rule. */
  get rows(): number {
    return this.#rows;
  }

  /** Takes no batch from now on. */
  close(): void {
    this.#closed = true;
  }

  /** Takes a batch whole or not at all; see HotTier.apply and HotTier.applyRepaired. */
  apply(batch: Batch, hash: Uint8Array, encodedBytes: number, isRepair = false): ApplyOutcome {
    this.#assertWhole();
    const known = this.#shards.get(batch.shard);
    if (known?.log.has(batch.id, hash)) return 'duplicate';
    if (this.#closed && !isRepair) return 'closed';
    const shard = known ?? { log: new BatchLog(), chunks: new Map<string, Chunk>() };
    for (const rows of batch.tables) shard.chunks.get(rows.table)?.checkTypes(rows);
    if (known === undefined) this.#shards.set(batch.shard, shard);
    // Lack of memory is all that can stop it halfway. What is half there must be neither answered nor sealed; the WAL
    // has the whole.
    this.#damaged = true;
    this.#append(shard, batch, hash);
    this.#encodedBytes += encodedBytes;
    this.#damaged = false;
    return 'applied';
  }

  #append({ log, chunks }: Shard, batch: Batch, hash: Uint8Array): void {
    const heldBefore = log.count === 0 ? 0 : log.bytes;
    const number = log.add(batch, hash);
    this.#bytes += log.bytes - heldBefore;
    for (const rows of batch.tables) {
      if (rows.rowCount === 0) continue;
      const chunk = chunks.get(rows.table) ?? new Chunk(rows.table, batch.shard, log);
      chunks.set(rows.table, chunk);
      chunk.append(rows, number);
      this.#bytes += chunk.takeGrowth();
      this.#rows += rows.rowCount;
    }
  }

  #assertWhole(): void {
    assert(
      !this.#damaged,
      `group ${this.id} of the hot tier holds part of a batch; want the process to start again`,
    );
  }

  chunk(shard: number, table: string): Chunk | undefined {
    this.#assertWhole();
    return this.#shards.get(shard)?.chunks.get(table);
  }

  /** The chunks of a table, or of all tables, by shard and table in ascending order. */
  chunks(table?: string): Chunk[] {
    this.#assertWhole();
    return this.#sortedShards().flatMap(([, { chunks }]) =>
      [...chunks.values()]
        .filter((chunk) => table === undefined || chunk.table === table)
        .sort((left, right) => (left.table < right.table ? -1 : 1)),
    );
  }

  /** Ids and hashes of the batches of a shard, in the order they came. */
  leaves(shard: number): BatchLeaf[] {
    return this.#shards.get(shard)?.log.leaves() ?? [];
  }

  /** Whether the batch is held; see BatchLog.has. */
  has(shard: number, id: BatchId, hash: Uint8Array): boolean {
    return this.#shards.get(shard)?.log.has(id, hash) === true;
  }

  /** What is held, by shard in ascending order. Digests are kept: asking again costs little. */
  holdings(): ShardHoldings[] {
    this.#assertWhole();
    return this.#sortedShards().map(([shard, { log }]) => ({
      shard,
      digest: Buffer.from(log.digest()).toString('hex'),
      batches: normalizeSequenceRanges([...log.ranges()]),
    }));
  }

  report(): GroupReport {
    const shards = this.#sortedShards();
    return {
      group: this.id,
      closed: this.#closed,
      digest: groupDigest(shards.map(([shard, { log }]) => [shard, log])),
      batches: normalizeSequenceRanges(shards.flatMap(([, { log }]) => [...log.ranges()])),
      bytes: this.#encodedBytes,
      chunks: this.chunks().map((chunk) => chunk.report()),
      shards: this.holdings(),
      hinted: [],
    };
  }

  #sortedShards(): [number, Shard][] {
    return [...this.#shards].sort(([left], [right]) => left - right);
  }
}
