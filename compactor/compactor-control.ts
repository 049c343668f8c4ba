import type { GroupKind, GroupState } from '../core/catalog/types.js';
import type { GroupId, NodeId } from '../core/model/batch.js';
import type { SealedGroup, WaitingGroup } from './seal/sealer.js';

/**
 * What callers can ask of the compactor, in its own process or over a channel. All answers can be cloned. Errors:
 * `not-found` for an unknown database or table, `unavailable` while another process holds the lease.
 */
export interface CompactorControl {
  /**
   * Closes and seals now every open window group that ends at or before `beforeNs`, and every late and ahead group.
   * Answers when that is done, or with what could not be sealed and why.
   */
  sealBefore(database: string, beforeNs: bigint, signal?: AbortSignal): Promise<SealReport>;
  /** Cuts the current window of the database, or of all where it is null, at now, so that today's nodes own the rest. */
  truncateShards(database: string | null, signal?: AbortSignal): Promise<readonly TruncateReport[]>;
  /** Merges now what can be merged, of one table or of all. */
  compact(database: string, table: string | null, signal?: AbortSignal): Promise<CompactReport>;
  /** Reads back every file of the current snapshots, of one table or of all, and compares hashes and history roots. */
  verify(database: string, table: string | null, signal?: AbortSignal): Promise<VerifyReport>;
  /** Where settling stands. */
  status(database: string, signal?: AbortSignal): Promise<SettledStatus>;
}

export interface SealReport {
  readonly database: string;
  readonly settledThroughNs: bigint;
  readonly sealed: readonly SealedGroup[];
  /** Groups that were to be sealed and are not; empty when all is done. */
  readonly waiting: readonly WaitingGroup[];
}

export interface TruncateReport {
  readonly database: string;
  /** The group that was cut off; empty when none was open for now. */
  readonly groups: readonly TruncatedGroup[];
}

/** A group that was cut off; it ends where it was cut. */
export interface TruncatedGroup {
  readonly group: GroupId;
  readonly startNs: bigint | null;
  readonly endNs: bigint | null;
  readonly owners: readonly NodeId[];
  /** Owners that could not be told yet: until they are, nodes that have not heard of the cut may write to them. */
  readonly untold: readonly { readonly node: NodeId; readonly reason: string }[];
}

export interface CompactReport {
  readonly database: string;
  readonly tables: readonly CompactedTable[];
}

export interface CompactedTable {
  readonly table: string;
  readonly merges: number;
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly conflicts: number;
}

export interface VerifyReport {
  readonly database: string;
  readonly files: number;
  readonly bytes: number;
  readonly tables: readonly VerifiedTable[];
  /** Empty when everything is as the catalog says. */
  readonly differences: readonly VerifyDifference[];
}

export interface VerifiedTable {
  readonly table: string;
  readonly snapshotId: string | null;
  /** As the catalog records it. */
  readonly historyRoot: string | null;
  /** As computed from the bytes that were read. */
  readonly computedRoot: string;
  readonly files: number;
}

export interface VerifyDifference {
  readonly table: string;
  /** The file concerned; null for a difference of the whole table. */
  readonly key: string | null;
  /** What was got and what was wanted. */
  readonly problem: string;
}

export interface SettledStatus {
  readonly database: string;
  readonly settledThroughNs: bigint;
  /** False while another process holds the lease: it does the work, and only it knows why a group waits. */
  readonly active: boolean;
  readonly tables: readonly TableStatus[];
  /** Groups that are not sealed. */
  readonly groups: readonly GroupStatus[];
  /** Groups whose content was agreed on although some nodes could not be asked, as long as the group list names them. */
  readonly exceptions: readonly GroupException[];
}

export interface GroupException {
  readonly group: GroupId;
  /** The nodes, in words. */
  readonly exception: string;
}

export interface TableStatus {
  readonly table: string;
  readonly snapshotId: string | null;
  readonly historyRoot: string | null;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

export interface GroupStatus {
  readonly group: GroupId;
  readonly kind: GroupKind;
  readonly state: GroupState;
  readonly startNs: bigint | null;
  readonly endNs: bigint | null;
  /** When it is, or was, to be closed. */
  readonly deadlineMs: number;
  readonly ageMs: number;
  readonly owners: readonly NodeId[];
  /** Why a closing group is not sealed yet, as far as this process knows. */
  readonly reason: string | null;
}
