import type { BatchId, EncodedBatch, GroupId, NodeId, ShardAddress } from '../../core/model/batch.js';
import { VarveError } from '../../core/std/errors.js';
import { groupKey } from '../ingest-catalog.js';
import type { HintEntry } from './hint-format.js';
import { HintRun } from './hint-run.js';

/** Names a hint of a destination for as long as it is held. */
export interface HintRef {
  readonly group: HintGroup;
  readonly run: HintRun;
  readonly sequence: number;
}

/** The id of the batch that a hint is. */
export function hintId({ run, sequence }: HintRef): BatchId {
  return { origin: run.origin, epoch: run.epoch, sequence };
}

/**
 * Whether the hints of a group may be sent. unknown: the catalog has not been asked yet. open: they may. shut: the
 * destination has closed the group, or does not own the shards any more; they wait until the group is sealed.
 */
export type Delivery = 'unknown' | 'open' | 'shut';

/** The hints of a destination for one group. */
export class HintGroup {
  readonly database: string;
  readonly group: GroupId;
  delivery: Delivery = 'unknown';
  /** Changes with every hint that comes or goes. */
  version = 0;
  count = 0;
  /** Bytes of the batches. */
  bytes = 0;
  readonly #runs = new Map<string, HintRun>();

  constructor(database: string, group: GroupId) {
    this.database = database;
    this.group = group;
  }

  runs(): Iterable<HintRun> {
    return this.#runs.values();
  }

  find(shard: number, { origin, epoch }: Pick<BatchId, 'origin' | 'epoch'>): HintRun | undefined {
    return this.#runs.get(`${shard}/${epoch}/${origin}`);
  }

  findOrAdd(shard: number, id: Pick<BatchId, 'origin' | 'epoch'>): HintRun {
    const known = this.find(shard, id);
    if (known !== undefined) return known;
    const run = new HintRun(shard, id.origin, id.epoch);
    this.#runs.set(`${shard}/${id.epoch}/${id.origin}`, run);
    return run;
  }

  forget(run: HintRun): void {
    this.#runs.delete(`${run.shard}/${run.epoch}/${run.origin}`);
  }
}

/** Which hints of a destination there are, and where; their bytes stay on the disk. */
export class HintIndex {
  readonly #groups = new Map<string, HintGroup>();
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes of the batches. */
  get bytes(): number {
    return this.#bytes;
  }

  groups(): Iterable<HintGroup> {
    return this.#groups.values();
  }

  group(database: string, group: GroupId): HintGroup | undefined {
    return this.#groups.get(groupKey(database, group));
  }

  /** Whether the batch is held. `corrupt` when one of that id but of other bytes is. */
  has({ database, group, shard, id, hash }: Omit<EncodedBatch, 'bytes' | 'stamp'>): boolean {
    const run = this.group(database, group)?.find(shard, id);
    if (run?.has(id.sequence) !== true) return false;
    if (Buffer.compare(run.hash(id.sequence), hash) === 0) return true;
    throw new VarveError(
      'corrupt',
      `keeping a hint: got batch ${id.origin}/${id.epoch}/${id.sequence} of group ${group} with other bytes than the one kept; want the same`,
    );
  }

  /** Adds a hint that is not held. */
  add(entry: Omit<HintEntry, 'checksum'>, segment: number, keptSeconds: number): void {
    const key = groupKey(entry.database, entry.group);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new HintGroup(entry.database, entry.group);
      this.#groups.set(key, group);
    }
    group.findOrAdd(entry.shard, entry.id).add(entry, segment, keptSeconds);
    this.#change(group, 1, entry.length);
  }

  /** Forgets a hint; false when it has gone already. */
  remove({ group, run, sequence }: HintRef): boolean {
    const place = run.place(sequence);
    if (place === undefined) return false;
    run.remove(sequence);
    this.#change(group, -1, -place.length);
    if (run.count === 0) group.forget(run);
    if (group.count === 0) this.#groups.delete(groupKey(group.database, group.group));
    return true;
  }

  /** A hint that may be sent; it is taken from then on. */
  takeOpen(): HintRef | undefined {
    for (const group of this.#groups.values()) {
      if (group.delivery !== 'open') continue;
      for (const run of group.runs()) {
        const sequence = run.take();
        if (sequence !== undefined) return { group, run, sequence };
      }
    }
    return undefined;
  }

  /** The hint of a batch; undefined when it is not held. */
  find({ database, group, shard }: ShardAddress, id: BatchId): HintRef | undefined {
    const held = this.group(database, group);
    const run = held?.find(shard, id);
    if (held === undefined || run?.has(id.sequence) !== true) return undefined;
    return { group: held, run, sequence: id.sequence };
  }

  #change(group: HintGroup, count: number, bytes: number): void {
    group.version += 1;
    group.count += count;
    group.bytes += bytes;
    this.#count += count;
    this.#bytes += bytes;
  }
}

/** All hints of a group that are held now; some may have gone when the loop gets there. */
export function* hintsOf(group: HintGroup): Generator<HintRef> {
  for (const run of [...group.runs()]) {
    for (const sequence of run.sequences()) yield { group, run, sequence };
  }
}

/** When the oldest of the hints came, in seconds since the epoch; infinite when there are none. */
export function oldestSeconds(groups: Iterable<HintGroup>): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const group of groups) for (const run of group.runs()) oldest = Math.min(oldest, run.oldestSeconds());
  return oldest;
}

/** How many of the hints their destination refused. */
export function countRefused(groups: Iterable<HintGroup>): number {
  let count = 0;
  for (const group of groups) for (const run of group.runs()) count += run.countIn('refused');
  return count;
}

/** The place in the file system of a destination's hints. */
export function destinationDirectory(root: string, destination: NodeId): string {
  return `${root}/to-${destination}`;
}
