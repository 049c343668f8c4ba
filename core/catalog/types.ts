import type { GroupId, NodeId } from '../model/batch.js';
import type { TableSchema } from '../model/schema.js';

/** A record with the version of its item in the MetaStore; 0 for a record that has not been stored yet. */
export interface Versioned<T> {
  readonly value: T;
  readonly version: number;
}

export type ConsistencyLevel = 'any' | 'one' | 'quorum' | 'all';

/** Settings of a database; given at creation, kept in the catalog. */
export interface DatabaseSettings {
  /** Length of a window. */
  readonly windowMs: number;
  /** Grace after the end of a window; its end + this is its deadline. */
  readonly graceMs: number;
  /** A late group closes this long after it was created. */
  readonly lateDelayMs: number;
  /** A late group closes when it holds this many bytes of batches. */
  readonly lateBytesMax: number;
  /** Points older than this are refused, and settled files all of whose points are older are removed; null keeps for ever. */
  readonly retentionMs: number | null;
  /** Snapshots older than this are expired, the current one excepted. */
  readonly historyMs: number;
  /** Owners a shard. */
  readonly replication: number;
  /** Shards a shard group. */
  readonly shards: number;
  readonly consistency: ConsistencyLevel;
}

export interface Database extends DatabaseSettings {
  readonly name: string;
  /** Names the object-store folder; a database that is deleted and made again gets another one. */
  readonly id: string;
  readonly createdMs: number;
}

/** A database that has been dropped and whose objects may still be there. */
export interface DroppedDatabase {
  readonly database: Database;
  readonly droppedMs: number;
}

/** Inclusive range of sequences of one origin and epoch. */
export interface SequenceRange {
  readonly origin: NodeId;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
}

/**
 * window: one window while it fills. late: rows whose window is not open and lies behind. ahead: rows whose
 * window has not begun yet; kept apart from late ones because it must close before that window opens, so that
 * the order of closing is the order of precedence (see docs/adr).
 */
export type GroupKind = 'window' | 'late' | 'ahead';
export type GroupState = 'open' | 'closing' | 'sealed';

export interface ShardGroup {
  readonly id: GroupId;
  readonly kind: GroupKind;
  /** The window of a window group, or the part of it since or until a cut; null for late and ahead groups. */
  readonly startNs: bigint | null;
  readonly endNs: bigint | null;
  readonly createdMs: number;
  /** From this moment on the compactor closes the group. */
  readonly closeAfterMs: number;
  readonly state: GroupState;
  /** Set at open → closing, from a counter of the database. Groups are sealed in this order; later ones win. */
  readonly closeSequence: number | null;
  readonly closedMs: number | null;
  /** Owners by shard; fixed at creation, but for owners that are declared lost. */
  readonly shards: readonly ShardOwners[];
  /**
   * The batches that history holds or, while the group is closing, is going to hold: set when its owners have agreed,
   * before the first commit that names the group, and never changed after, so that a retry means the same batches.
   */
  readonly sealedBatches: readonly SequenceRange[] | null;
  /** Set with sealedBatches: nodes that could not be asked then. Left out when there was none. */
  readonly sealExceptions?: readonly SealException[];
  readonly sealedMs: number | null;
  /** Owners that have dropped their batches of the sealed group; when all have, the group leaves the list. */
  readonly released: readonly NodeId[];
}

/** Who holds a shard. */
export interface ShardOwners {
  readonly owners: readonly NodeId[];
  /** Owners that took the place of a lost one and may still lack what others hold: they count for no quorum of reading. */
  readonly filling?: readonly NodeId[];
  /** Former owners that were declared lost, or handed over and have not been asked for what they hold since. */
  readonly lost?: readonly NodeId[];
}

/** Nodes that were not asked when a group's content was agreed on: what only they hold comes late or never. */
export interface SealException {
  /** The shard they own; null for nodes that may have kept hints for any. */
  readonly shard: number | null;
  readonly missing: readonly NodeId[];
}

/** Everything in flux in a database: one item in the MetaStore, so that every transition is one compare-and-set. */
export interface GroupList {
  readonly database: string;
  /** Every window that ends at or before this is sealed or was empty at its deadline. Never moves back. */
  readonly settledThroughNs: bigint;
  /**
   * An instant before this that has no group gets none any more: its rows are late. The end of a window, or the cut
   * of one that was truncated. Never behind settledThroughNs, never moves back. It makes the choice between window and late group the same for all nodes.
   */
  readonly openFromNs: bigint;
  /** Open, closing and sealed groups that not all owners have released, in order of id number. */
  readonly groups: readonly ShardGroup[];
  readonly nextGroup: number;
  readonly nextCloseSequence: number;
  /** Highest fencing epoch that changed the list as compactor; a change with a lower one is refused. */
  readonly fencingEpoch: number;
}

/** Where the settled history of a table stands: the commit point of Iceberg. */
export interface TableRecord {
  readonly database: string;
  readonly table: string;
  readonly schema: TableSchema;
  /** Table UUID of Iceberg, and folder of the table's objects: `<database id>/<table uuid>/`. */
  readonly tableUuid: string;
  /** Key in the object store of the current Iceberg metadata JSON; null before the first commit. */
  readonly metadataKey: string | null;
  /** Current snapshot; null before the first commit. Text, because Iceberg ids are 63 bits. */
  readonly snapshotId: string | null;
  readonly historyRoot: string | null;
  /**
   * Groups whose points the current snapshot holds, as far as they can still be in the group list: closing or
   * sealed and not released by all. A query reads from the hot tier only groups not named here.
   */
  readonly sealedGroups: readonly GroupId[];
  /** Highest fencing epoch that committed; a commit with a lower one is refused. */
  readonly fencingEpoch: number;
  /** What the current snapshot is made of; left out or null where it is too large to be told here, or not known. */
  readonly outline?: SnapshotOutline | null;
}

/** A snapshot as far as a reader needs to know it before it reads manifests. */
export interface SnapshotOutline {
  /** The snapshot's schema has so many of the record's columns, the first ones. */
  readonly columns: number;
  readonly hasTimeNs: boolean;
  /** Field ids by which files are sorted, by the id of the sort order. */
  readonly sortOrders: readonly { readonly id: number; readonly fieldIds: readonly number[] }[];
  /** All manifests that name a live file, in the order of the snapshot's list. */
  readonly manifests: readonly ManifestOutline[];
}

export interface ManifestOutline {
  /** Its key without the folder, which is that of the metadata file, and without `.avro`. */
  readonly name: string;
  readonly specId: number;
  /** No live file of the manifest holds a row outside these times; inclusive. */
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
}

/** The right to compact, held for a while. Every commit carries its epoch. */
export interface Lease {
  readonly name: string;
  readonly holder: string;
  /** Grows with every change of holder. */
  readonly epoch: number;
  readonly expiresMs: number;
}

/** Hints that wait on a node for the owners that they are for. */
export interface HintBacklog {
  readonly count: number;
  readonly bytes: number;
}

export interface NodeRecord {
  readonly node: NodeId;
  /** Grows with every start of the node. */
  readonly epoch: number;
  /** Where peers reach it; null within one process. */
  readonly address: string | null;
  readonly heartbeatMs: number;
  /** draining: owns no new groups and leaves when it holds nothing any more. left: it did. lost: given up for good. */
  readonly state: 'live' | 'draining' | 'left' | 'lost';
  /** What the node keeps for others, as of its last heartbeat; left out by one that keeps no hints. */
  readonly hints?: HintBacklog;
  /** Its data directory ends with its process: once it is gone it never comes back with what it held. */
  readonly ephemeral?: true;
  /** Draining, and taking no batches as an owner any more: others take its place while it still gives what it holds. */
  readonly handsOver?: true;
}
