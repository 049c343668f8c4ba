import type { BatchId, EncodedBatch, GroupId, NodeId, ShardAddress } from '../../core/model/batch.js';
import type { BatchLeaf } from '../../core/ports/peer.js';

/** Where a batch lies in the log. */
export interface BatchPlace {
  /** Number of the segment. */
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
}

export interface LocatedBatch extends BatchPlace {
  readonly hash: Uint8Array;
}

const hashBytes = 16;
const firstCapacity = 4;

/** Batches of one origin and epoch in one shard, in order of arrival: parallel arrays, about 40 bytes a batch. */
class BatchRun {
  readonly origin: NodeId;
  readonly epoch: number;
  #count = 0;
  #sequences = new Float64Array(firstCapacity);
  #segments = new Float64Array(firstCapacity);
  #offsets = new Uint32Array(firstCapacity);
  #lengths = new Uint32Array(firstCapacity);
  #hashes = new Uint8Array(firstCapacity * hashBytes);

  constructor(origin: NodeId, epoch: number) {
    this.origin = origin;
    this.epoch = epoch;
  }

  get count(): number {
    return this.#count;
  }

  add(sequence: number, hash: Uint8Array, place: BatchPlace): void {
    const at = this.#count++;
    if (at === this.#sequences.length) this.#grow(at * 2);
    this.#sequences[at] = sequence;
    this.#segments[at] = place.segment;
    this.#offsets[at] = place.offset;
    this.#lengths[at] = place.length;
    this.#hashes.set(hash, at * hashBytes);
  }

  /** Adds the number of batches in each segment to `counts`; tells the bytes of all. Allocates nothing a batch. */
  countInto(counts: Map<number, number>): number {
    let bytes = 0;
    for (let at = 0; at < this.#count; at++) {
      const segment = this.#segments[at]!;
      counts.set(segment, (counts.get(segment) ?? 0) + 1);
      bytes += this.#lengths[at]!;
    }
    return bytes;
  }

  sequenceAt(at: number): number {
    return this.#sequences[at] ?? 0;
  }

  batchAt(at: number): LocatedBatch {
    return {
      segment: this.#segments[at] ?? 0,
      offset: this.#offsets[at] ?? 0,
      length: this.#lengths[at] ?? 0,
      hash: this.#hashes.slice(at * hashBytes, (at + 1) * hashBytes),
    };
  }

  #grow(capacity: number): void {
    const grow = <A extends Float64Array | Uint32Array | Uint8Array>(into: A, from: A): A => {
      into.set(from);
      return into;
    };
    this.#sequences = grow(new Float64Array(capacity), this.#sequences);
    this.#segments = grow(new Float64Array(capacity), this.#segments);
    this.#offsets = grow(new Uint32Array(capacity), this.#offsets);
    this.#lengths = grow(new Uint32Array(capacity), this.#lengths);
    this.#hashes = grow(new Uint8Array(capacity * hashBytes), this.#hashes);
  }
}

type ShardRuns = Map<string, BatchRun>;

/** Which batches of which group the log holds, and where. */
export class BatchIndex {
  /** Runs by database, group, shard, and origin with epoch. */
  readonly #databases = new Map<string, Map<GroupId, Map<number, ShardRuns>>>();
  #batches = 0;
  #bytes = 0;

  get batches(): number {
    return this.#batches;
  }

  /** Bytes of the encodings. */
  get bytes(): number {
    return this.#bytes;
  }

  add(batch: EncodedBatch, place: BatchPlace): void {
    const groups = getOrMake(
      this.#databases,
      batch.database,
      () => new Map<GroupId, Map<number, ShardRuns>>(),
    );
    const shards = getOrMake(groups, batch.group, () => new Map<number, ShardRuns>());
    const runs = getOrMake(shards, batch.shard, () => new Map<string, BatchRun>());
    const { origin, epoch, sequence } = batch.id;
    const run = getOrMake(runs, runKey(origin, epoch), () => new BatchRun(origin, epoch));
    run.add(sequence, batch.hash, place);
    this.#batches += 1;
    this.#bytes += place.length;
  }

  /** Forgets a group; tells for each segment how many of its batches that were. */
  release(database: string, group: GroupId): ReadonlyMap<number, number> {
    const freed = new Map<number, number>();
    const groups = this.#databases.get(database);
    for (const runs of groups?.get(group)?.values() ?? []) {
      for (const run of runs.values()) {
        this.#bytes -= run.countInto(freed);
        this.#batches -= run.count;
      }
    }
    groups?.delete(group);
    if (groups?.size === 0) this.#databases.delete(database);
    return freed;
  }

  /** Ids and hashes of a shard's batches; one that was appended twice is listed once. */
  list(address: ShardAddress): BatchLeaf[] {
    const leaves: BatchLeaf[] = [];
    for (const run of this.#runsOf(address)?.values() ?? []) {
      const seen = new Set<number>();
      for (let at = 0; at < run.count; at++) {
        const sequence = run.sequenceAt(at);
        if (seen.has(sequence)) continue;
        seen.add(sequence);
        leaves.push({ id: { origin: run.origin, epoch: run.epoch, sequence }, hash: run.batchAt(at).hash });
      }
    }
    return leaves;
  }

  /**
   * Places of the named batches that are here, in the order in which they lie in the log; of one appended twice the
   * later place, which may stand for a damaged one.
   */
  locate(address: ShardAddress, ids: readonly BatchId[]): LocatedBatch[] {
    const wanted = new Map<string, Set<number>>();
    for (const { origin, epoch, sequence } of ids) {
      getOrMake(wanted, runKey(origin, epoch), () => new Set<number>()).add(sequence);
    }
    const located: LocatedBatch[] = [];
    for (const [key, run] of this.#runsOf(address) ?? []) {
      const sequences = wanted.get(key);
      if (sequences === undefined) continue;
      for (let at = run.count - 1; at >= 0 && sequences.size > 0; at--) {
        if (sequences.delete(run.sequenceAt(at))) located.push(run.batchAt(at));
      }
    }
    return located.sort((left, right) => left.segment - right.segment || left.offset - right.offset);
  }

  #runsOf(address: ShardAddress): ShardRuns | undefined {
    return this.#databases.get(address.database)?.get(address.group)?.get(address.shard);
  }
}

function runKey(origin: NodeId, epoch: number): string {
  return `${origin}/${epoch}`;
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
