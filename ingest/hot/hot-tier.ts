import type { Batch, EncodedBatch, GroupId, ShardAddress } from '../../core/model/batch.js';
import type { BatchLeaf, GroupReport, ShardHoldings } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { type ApplyOutcome, HotGroup } from './hot-group.js';
import { KeptOrders, orderedRowsMin } from './kept-orders.js';

/** What the hot tier tells of its work. */
export interface HotMetrics {
  /** A batch was applied. */
  applied(rows: number, encodedBytes: number): void;
  /** A batch was held already. */
  duplicate(): void;
  /** A group went to history in which so many fields of points had several values. */
  keptConflicts(count: number): void;
  /** A scan was asked for and gave so many points out of so many rows; fields with several values were `conflicts`. */
  scanned(scan: { readonly rows: number; readonly points: number; readonly conflicts: number }): void;
}

/** Metrics that go nowhere. */
export const noHotMetrics: HotMetrics = {
  applied() {},
  duplicate() {},
  keptConflicts() {},
  scanned() {},
};

/** What a hot tier is made of. */
export interface HotTierOptions {
  /** Limit of memory, see wouldExceed. */
  readonly bytesMax: number;
  readonly logger: Logger;
  readonly metrics?: HotMetrics;
  /** Rows of the smallest chunk that keeps an order for scans; the usual number unless told. */
  readonly orderedRowsMin?: number;
}

/** How full the hot tier is. */
export interface HotUsage {
  readonly bytes: number;
  readonly bytesMax: number;
  /** Bytes promised to writes under way. */
  readonly reservedBytes: number;
  readonly rows: number;
  readonly groups: number;
}

/** Room promised to a write; release it once, when its batches have been applied or given up. */
export interface HotReservation {
  release(): void;
}

/** Dropped groups remembered, so that a batch or a scan that comes too late is recognised. */
const droppedMax = 4096;
const retryAfterSeconds = 5;
/** Of the limit of memory, what orders that scans keep may take. */
const ordersShare = 1 / 4;

/**
 * The in-flux rows of this node, in memory: database → group → shard → chunk. All calls are synchronous, so a batch
 * is seen whole or not at all. A group comes to be with its first batch or by closeGroup, takes batches until it is
 * closed, and is gone for ever when it is dropped.
 */
export class HotTier {
  /** What scans keep of chunks; counted with the rest, and let go where a write needs the room. */
  readonly orders: KeptOrders;
  readonly #bytesMax: number;
  readonly #logger: Logger;
  readonly #metrics: HotMetrics;
  readonly #groups = new Map<string, HotGroup>();
  readonly #dropped = new Set<string>();
  #bytes = 0;
  #rows = 0;
  #reservedBytes = 0;

  constructor(options: HotTierOptions) {
    this.#bytesMax = options.bytesMax;
    this.orders = new KeptOrders(options.bytesMax * ordersShare, options.orderedRowsMin ?? orderedRowsMin);
    this.#logger = options.logger;
    this.#metrics = options.metrics ?? noHotMetrics;
  }

  get metrics(): HotMetrics {
    return this.#metrics;
  }

  /**
   * Takes a durable batch. Never refuses for lack of room: admission comes before the WAL, and what the WAL holds must
   * come back at start. A batch that is held is a `duplicate`, in a closed group too.
   *
   * @param hash EncodedBatch.hash
   * @param encodedBytes length of the encoding, for GroupReport.bytes
   */
  apply(batch: Batch, hash: Uint8Array, encodedBytes: number): ApplyOutcome {
    return this.#apply(batch, hash, encodedBytes, false);
  }

  /** As apply, for a batch that another owner had taken before the group was closed: a closed group takes it too. */
  applyRepaired(batch: Batch, hash: Uint8Array, encodedBytes: number): ApplyOutcome {
    return this.#apply(batch, hash, encodedBytes, true);
  }

  /** Whether the batch is held. `corrupt` when one of its id but other bytes is. */
  has(batch: Pick<EncodedBatch, 'database' | 'group' | 'shard' | 'id' | 'hash'>): boolean {
    const group = this.#groups.get(groupKey(batch.database, batch.group));
    return group?.has(batch.shard, batch.id, batch.hash) === true;
  }

  #apply(batch: Batch, hash: Uint8Array, encodedBytes: number, isRepair: boolean): ApplyOutcome {
    const key = groupKey(batch.database, batch.group);
    if (this.#dropped.has(key)) return 'closed';
    const group = this.#open(key, batch.group);
    const bytesBefore = group.bytes;
    const rowsBefore = group.rows;
    const outcome = group.apply(batch, hash, encodedBytes, isRepair);
    this.#bytes += group.bytes - bytesBefore;
    this.#rows += group.rows - rowsBefore;
    this.#makeRoom();
    if (outcome === 'applied') this.#metrics.applied(group.rows - rowsBefore, encodedBytes);
    if (outcome === 'duplicate') this.#metrics.duplicate();
    return outcome;
  }

  /** Whether so many bytes more would pass the limit, if nothing is kept for scans. */
  wouldExceed(bytes: number): boolean {
    return this.#bytes + this.#reservedBytes + bytes > this.#bytesMax;
  }

  /** Promises room to a write before its batches are made. `unavailable`, with a time to retry, when there is none. */
  reserve(bytes: number): HotReservation {
    if (this.wouldExceed(bytes)) {
      throw new VarveError(
        'unavailable',
        `reserving ${bytes} bytes of the hot tier: ${this.#bytes} are held and ${this.#reservedBytes} promised; want at most ${this.#bytesMax} in all`,
        { retryAfterSeconds },
      );
    }
    this.#reservedBytes += bytes;
    this.#makeRoom();
    let held = bytes;
    return {
      release: () => {
        this.#reservedBytes -= held;
        held = 0;
      },
    };
  }

  /** Makes the group known before its first batch; does nothing to one that is known, closed or dropped. */
  openGroup(database: string, group: GroupId): void {
    const key = groupKey(database, group);
    if (!this.#dropped.has(key)) this.#open(key, group);
  }

  /** The group takes no batch from now on, be it known or not. */
  closeGroup(database: string, group: GroupId): void {
    const key = groupKey(database, group);
    if (!this.#dropped.has(key)) this.#open(key, group).close();
  }

  /** What is held of the group; nothing for one that is not known. */
  report(database: string, group: GroupId): GroupReport {
    const key = groupKey(database, group);
    const held = this.#groups.get(key);
    if (held !== undefined) return held.report();
    return { ...new HotGroup(group).report(), closed: this.#dropped.has(key) };
  }

  /** What is held of the group, by shard; nothing for one that is not known. */
  holdings(database: string, group: GroupId): ShardHoldings[] {
    return this.#groups.get(groupKey(database, group))?.holdings() ?? [];
  }

  /** Ids and hashes of the batches of a shard, in the order they came. */
  leaves(address: ShardAddress): BatchLeaf[] {
    return this.#groups.get(groupKey(address.database, address.group))?.leaves(address.shard) ?? [];
  }

  /** Lets the group go: its memory is free once the scans under way have ended. It takes no batch ever after. */
  drop(database: string, group: GroupId): void {
    const key = groupKey(database, group);
    const held = this.#groups.get(key);
    this.#groups.delete(key);
    this.#remember(key);
    if (held === undefined) return;
    this.orders.forgetGroup(held);
    this.#bytes -= held.bytes;
    this.#rows -= held.rows;
    this.#logger.debug(
      { database, group, rows: held.rows, bytes: held.bytes },
      'dropped a group from the hot tier',
    );
  }

  /** The group if it is held, `dropped` if it was, `unknown` if this node has not heard of it. */
  find(database: string, group: GroupId): HotGroup | 'dropped' | 'unknown' {
    const key = groupKey(database, group);
    return this.#groups.get(key) ?? (this.#dropped.has(key) ? 'dropped' : 'unknown');
  }

  usage(): HotUsage {
    return {
      bytes: this.#bytes + this.orders.bytes,
      bytesMax: this.#bytesMax,
      reservedBytes: this.#reservedBytes,
      rows: this.#rows,
      groups: this.#groups.size,
    };
  }

  /** What scans keep is only worth room that nothing else needs. */
  #makeRoom(): void {
    this.orders.shrinkTo(this.#bytesMax - this.#bytes - this.#reservedBytes);
  }

  #open(key: string, id: GroupId): HotGroup {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group = new HotGroup(id);
    this.#groups.set(key, group);
    return group;
  }

  #remember(key: string): void {
    this.#dropped.add(key);
    if (this.#dropped.size <= droppedMax) return;
    for (const oldest of this.#dropped) {
      this.#dropped.delete(oldest);
      return;
    }
  }
}

function groupKey(database: string, group: GroupId): string {
  return `${group} ${database}`;
}
