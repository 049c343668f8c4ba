import { subtractSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import { decodeBatch, readBatchHeader } from '../../core/codec/batch-codec.js';
import type { Batch, BatchId, EncodedBatch, GroupId, NodeId, ShardAddress } from '../../core/model/batch.js';
import type {
  AppendResult,
  BatchLeaf,
  CatchUpResult,
  GroupReport,
  Peer,
  ReleaseResult,
  ShardHoldings,
} from '../../core/ports/peer.js';
import { assert } from '../../core/std/assert.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import type { HotTier } from '../hot/hot-tier.js';
import { groupKey, parseGroupKey } from '../ingest-catalog.js';
import { type CaughtUp, catchUpFrom } from '../repair/catch-up.js';
import { GroupRelease, type LateGroup } from '../repair/group-release.js';
import { type MendedDamage, mendDamage } from '../repair/mend-damage.js';
import type { Wal } from '../wal/wal.js';
import type { HintedBatches } from './hinted-batches.js';
import { OwnerGates } from './owner-gates.js';

export interface LocalOwnerOptions {
  readonly node: NodeId;
  readonly wal: Wal;
  readonly hot: HotTier;
  /** The group as the catalog's list has it now; undefined when the list does not name it. */
  readonly groupOf: (database: string, group: GroupId) => Promise<ShardGroup | undefined>;
  /** The peer of another node, or undefined while it is not known. */
  readonly peerOf: (node: NodeId) => Peer | undefined;
  /** Hints that are kept here for others; none when left out. */
  readonly hints?: HintedBatches;
  /** Where batches go that history lacks when their group is let go; without it the group is kept. */
  readonly reroute?: LateGroup;
  readonly onRerouted?: (group: GroupId, batches: number) => void;
  /** Told of the stamp of every batch that another node sends, before it is taken. */
  readonly onStamp?: (batch: Pick<EncodedBatch, 'id' | 'stamp'>) => void;
  /** Awaited before a sealed group is dropped, while it is still held. Must not fail. */
  readonly beforeDrop?: (database: string, group: GroupId) => Promise<void>;
}

/**
 * This node as an owner of shards: every batch goes to the WAL first and, once synced, into the hot tier
 * (invariant 1). It takes batches only for groups that the catalog shows open, and closes them by a clean cut.
 */
export class LocalOwner implements Peer {
  readonly node: NodeId;
  readonly #wal: Wal;
  readonly #hot: HotTier;
  readonly #groupOf: LocalOwnerOptions['groupOf'];
  readonly #peerOf: LocalOwnerOptions['peerOf'];
  readonly #hints: HintedBatches | undefined;
  readonly #onStamp: LocalOwnerOptions['onStamp'];
  readonly #gates = new OwnerGates();
  readonly #release: GroupRelease;
  #isRetired = false;
  /** Shards of which a batch could not be read back; looked at by repair. */
  readonly #suspects = new Set<string>();

  constructor(options: LocalOwnerOptions) {
    this.node = options.node;
    this.#wal = options.wal;
    this.#hot = options.hot;
    this.#groupOf = options.groupOf;
    this.#peerOf = options.peerOf;
    this.#hints = options.hints;
    this.#onStamp = options.onStamp;
    const { wal, hot, reroute, onRerouted, beforeDrop } = options;
    this.#release = new GroupRelease({ wal, hot, gates: this.#gates, reroute, onRerouted, beforeDrop });
  }

  /** Takes a batch of another node. `unavailable` at the limit of the hot tier: the coordinator keeps a hint then. */
  async append(bytes: Uint8Array): Promise<AppendResult> {
    const room = this.#hot.reserve(bytes.length);
    try {
      const batch = decodeBatch(bytes);
      this.#onStamp?.(batch);
      return await this.appendBatch(batch, readBatchHeader(bytes));
    } finally {
      room.release();
    }
  }

  /** Appends a batch that this process holds decoded and encoded. */
  async appendBatch(batch: Batch, encoded: EncodedBatch): Promise<AppendResult> {
    this.#checkNotRetired();
    const key = groupKey(batch.database, batch.group);
    if (this.#gates.state(key) === 'unknown') {
      // A group this node knows nothing of may have been sealed and dropped long ago; a batch taken for it would
      // be in no list and lost. Closing meanwhile leaves the gate closed, so the order of the two does not matter.
      const group = await this.#groupOf(batch.database, batch.group);
      if (group?.state !== 'open' || this.#wasDropped(batch)) return { kind: 'closed' };
      this.#gates.open(key);
    }
    // What is held is durable. Found before the log is written, bytes that belie their id never get into it. A group
    // that is being let go answers for nothing any more.
    if (this.#gates.state(key) !== 'shut' && this.#hot.has(encoded)) {
      this.#hot.metrics.duplicate();
      return { kind: 'duplicate' };
    }
    // Again, for the catalog may have been asked in between.
    this.#checkNotRetired();
    if (!this.#gates.enter(key)) return { kind: 'closed' };
    try {
      await this.#wal.append(encoded);
      const outcome = this.#hot.apply(batch, encoded.hash, encoded.bytes.length);
      return { kind: outcome };
    } finally {
      this.#gates.leave(key);
    }
  }

  /**
   * Takes no batches any more, and answers none as held, until the process ends: from then on nothing is acknowledged on
   * the strength of this copy, so that another node can take its place. Goes on giving what it holds. Resolves when the
   * last append under way is done.
   */
  async retire(): Promise<void> {
    this.#isRetired = true;
    await this.#gates.appendsAreOver();
  }

  #checkNotRetired(): void {
    if (!this.#isRetired) return;
    throw new VarveError(
      'unavailable',
      `node ${this.node} leaves the cluster: it takes no batches any more`,
      {
        retryAfterSeconds: 1,
      },
    );
  }

  async closeGroup(database: string, group: GroupId): Promise<GroupReport> {
    const key = groupKey(database, group);
    // Told once more after the release, it must not come to be known again: nobody would release it a second time.
    if (this.#gates.state(key) !== 'unknown' || !this.#wasDropped({ database, group })) {
      await this.#gates.close(key);
      this.#hot.closeGroup(database, group);
    }
    return this.reportGroup(database, group);
  }

  async reportGroup(database: string, group: GroupId): Promise<GroupReport> {
    const hinted = (await this.#hints?.holdings(database, group)) ?? [];
    return { ...this.#hot.report(database, group), hinted };
  }

  async listBatches(address: ShardAddress): Promise<readonly BatchLeaf[]> {
    return this.#wal.list(address);
  }

  async *fetchBatches(
    address: ShardAddress,
    ids: readonly BatchId[],
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#wal.fetch(address, ids);
    } catch (error) {
      if (isVarveError(error, 'corrupt')) this.#suspects.add(shardKey(address));
      throw error;
    }
    if (this.#hints !== undefined) yield* this.#hints.fetch(address, ids, signal);
  }

  async catchUp(
    address: ShardAddress,
    source: NodeId,
    ranges: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<CatchUpResult> {
    const { fetched } = await this.pull(address, source, ranges, signal);
    return { fetched };
  }

  /** As catchUp; tells the bytes that came, too. */
  async pull(
    address: ShardAddress,
    source: NodeId,
    ranges: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<CaughtUp> {
    const { database, group } = address;
    const key = groupKey(database, group);
    await this.#admitRepair(address);
    if (!this.#gates.enterRepair(key)) throw this.#gone(address);
    try {
      const held = this.#hot.holdings(database, group).find(({ shard }) => shard === address.shard);
      const lacking = subtractSequenceRanges(ranges, held?.batches ?? []);
      if (lacking.length === 0) return { fetched: 0, bytes: 0 };
      const peer = source === this.node ? this : this.#peerOf(source);
      if (peer === undefined) {
        throw new VarveError(
          'unavailable',
          `node ${this.node} catching up in group ${group}: node ${source} is not known`,
          { retryAfterSeconds: 1 },
        );
      }
      const keep = (batch: EncodedBatch) => this.#keepRepaired(batch);
      return await catchUpFrom({ address, source: peer, ranges: lacking, keep, signal });
    } finally {
      this.#gates.leaveRepair(key);
    }
  }

  /** What is held of a group as an owner; empty for one that is not held. */
  holdings(database: string, group: GroupId): readonly ShardHoldings[] {
    return this.#hot.holdings(database, group);
  }

  /** Whether a batch of the shard was found damaged since this was asked last. */
  takeSuspect(address: ShardAddress): boolean {
    return this.#suspects.delete(shardKey(address));
  }

  /** Reads the shard's batches back from the log and replaces damaged ones by those of other owners. */
  async mendDamage(
    address: ShardAddress,
    sources: readonly NodeId[],
    signal?: AbortSignal,
  ): Promise<MendedDamage> {
    const key = groupKey(address.database, address.group);
    if (!this.#gates.enterRepair(key)) throw this.#gone(address);
    try {
      const peers = sources.flatMap((source) => this.#peerOf(source) ?? []);
      const mended = await mendDamage(this.#wal, address, peers, signal);
      // Another owner may have it later.
      if (mended.replaced < mended.damaged) this.#suspects.add(shardKey(address));
      return mended;
    } finally {
      this.#gates.leaveRepair(key);
    }
  }

  /** A group that this node does not know of yet may be one that it owns: nothing has come for it. */
  async #admitRepair(address: ShardAddress): Promise<void> {
    const key = groupKey(address.database, address.group);
    if (this.#gates.state(key) !== 'unknown') return;
    const group = await this.#groupOf(address.database, address.group);
    const isOwner = group?.shards[address.shard]?.owners.includes(this.node) === true;
    if (!isOwner || group.state === 'sealed' || this.#wasDropped(address)) throw this.#gone(address);
    if (group.state === 'open') this.#gates.open(key);
    else await this.closeGroup(address.database, address.group);
  }

  async #keepRepaired(encoded: EncodedBatch): Promise<boolean> {
    const { database, group, bytes, hash } = encoded;
    if (this.#gates.state(groupKey(database, group)) === 'shut') throw this.#gone(encoded);
    if (this.#hot.has(encoded)) return false;
    // A closed group is on its way out of memory, and what it lacks keeps it from going.
    if (this.#gates.state(groupKey(database, group)) === 'open') this.#hot.reserve(bytes.length).release();
    await this.#wal.append(encoded);
    const outcome = this.#hot.applyRepaired(decodeBatch(bytes), hash, bytes.length);
    assert(outcome !== 'closed', `group ${group} was dropped while a repair was under way`);
    return outcome === 'applied';
  }

  #forgetSuspects(database: string, group: GroupId): void {
    const prefix = `${groupKey(database, group)}\0`;
    for (const key of this.#suspects) if (key.startsWith(prefix)) this.#suspects.delete(key);
  }

  #wasDropped({ database, group }: Pick<ShardAddress, 'database' | 'group'>): boolean {
    return this.#hot.find(database, group) === 'dropped';
  }

  #gone({ group, shard }: ShardAddress): VarveError {
    return new VarveError(
      'not-found',
      `node ${this.node} catching up in shard ${shard} of group ${group}: it is not in flux here; want an owner of a group that is not sealed`,
    );
  }

  async releaseGroup(
    database: string,
    group: GroupId,
    sealed: readonly SequenceRange[],
  ): Promise<ReleaseResult> {
    // While the group is in the list: once it has left, nobody could tell any more which hints are sealed. Those that
    // are not, and cannot be written into the late group now, stay until they can.
    await this.#hints?.release(database, group, sealed);
    const result = await this.#release.run(database, group, sealed);
    if (result.kind === 'released') this.#forgetSuspects(database, group);
    return result;
  }

  /** Ids of the databases that this node holds batches of. */
  databasesHeld(): string[] {
    return [...new Set(this.#gates.groups().map((key) => parseGroupKey(key).database))];
  }

  /** Lets go of everything held of a database that has been dropped. */
  async dropDatabase(databaseId: string): Promise<void> {
    for (const key of this.#gates.groups()) {
      const { database, group } = parseGroupKey(key);
      if (database !== databaseId) continue;
      await this.#release.drop(database, group);
      this.#forgetSuspects(database, group);
    }
  }

  /** Takes back a batch that the WAL replayed at start; closed groups are closed after the replay. */
  restore(encoded: EncodedBatch): void {
    this.#hot.apply(decodeBatch(encoded.bytes), encoded.hash, encoded.bytes.length);
    this.#gates.open(groupKey(encoded.database, encoded.group));
  }
}

function shardKey({ database, group, shard }: ShardAddress): string {
  return `${groupKey(database, group)}\0${shard}`;
}
