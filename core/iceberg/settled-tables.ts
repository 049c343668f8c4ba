import type { TableRecord, Versioned } from '../catalog/types.js';
import type { Clock } from '../ports/clock.js';
import type { ObjectStore } from '../ports/object-store.js';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';
import type { Logger } from '../std/logger.js';
import { applyChange, type HistoryState, type PlannedCommit } from './apply-change.js';
import type {
  DatabaseIdentity,
  TableCommitPoint,
  TableCommitResult,
  TableRecordChange,
} from './commit-point.js';
import { planExpiry, referencedObjects } from './expiry.js';
import { forEachBounded } from './for-each-bounded.js';
import { HistoryReader } from './history-reader.js';
import { emptyHistoryRoot, emptySnapshotId } from './history-root.js';
import { liveFiles } from './loaded-manifest.js';
import { randomSnapshotId, randomUuid } from './object-paths.js';
import type { ManifestLimits } from './plan-manifests.js';
import { checkRequirements } from './requirements.js';
import { outlinedSchema, type TimeBounds } from './snapshot-outline.js';
import { historyRootOf, summarize } from './snapshot-summary.js';
import {
  currentSnapshot,
  encodeTableMetadata,
  findSnapshot,
  schemaById,
  type TableMetadata,
} from './table-metadata.js';
import { tableSchemaOf } from './table-schema.js';
import type { SnapshotFiles, SnapshotSummary, TableChange } from './types.js';

export interface SettledTablesOptions {
  readonly objects: ObjectStore;
  readonly commitPoint: TableCommitPoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Estimated bytes of memory for parsed metadata, manifest lists and manifests; default 128 MiB. */
  readonly cacheBytesMax?: number;
  /** When manifests are folded together and how large they become; see docs/formats/iceberg.md for the defaults. */
  readonly limits?: ManifestLimits;
}

/** Whose history is to change, by the right of which lease. */
export interface ChangeRequest {
  readonly database: DatabaseIdentity;
  readonly table: string;
  readonly fencingEpoch: number;
}

export interface CommitRequest extends ChangeRequest {
  readonly change: TableChange;
}

/** A holder of the higher epoch `by` has committed: stop. */
export interface Fenced {
  readonly kind: 'fenced';
  readonly by: number;
}

export type CommitResult =
  | { readonly kind: 'committed'; readonly record: TableRecord; readonly snapshot: SnapshotSummary }
  /** An earlier try of the same change was committed; nothing was done. */
  | { readonly kind: 'already'; readonly record: TableRecord }
  /** Files to be removed are not live: plan again on the history as it is now. */
  | { readonly kind: 'stale'; readonly missing: readonly string[] }
  | Fenced;

export interface ExpireRequest extends ChangeRequest {
  /** Snapshots that were replaced before this moment expire. */
  readonly olderThanMs: number;
  /** Of what is younger, the oldest beyond this many expire too; default 1,000. Bounds the metadata file. */
  readonly snapshotsMax?: number;
}

export type ExpireResult =
  /** `unreferenced`: keys that the metadata before named and the one after does not; delete after a grace period. */
  | {
      readonly kind: 'expired';
      readonly record: TableRecord;
      readonly snapshots: readonly string[];
      readonly unreferenced: readonly string[];
    }
  | { readonly kind: 'nothing' }
  | Fenced;

type Lost = Extract<TableCommitResult, { kind: 'conflict' }>;

const defaultLimits: ManifestLimits = { smallManifestsMax: 8, entriesMax: 4096 };
const cacheBytesDefault = 128 * 2 ** 20;
const snapshotsMaxDefault = 1000;
/** Tries of one compare-and-set. It is lost when ingest extends the schema meanwhile, or to a second compactor. */
const triesMax = 8;
const retryDelayMs = 20;
const parallelPuts = 8;
const everything: TimeBounds = { minTimeNs: null, maxTimeNs: null };

/**
 * The settled history of tables: Iceberg tables of format version 2, whose files lie in the object store and whose
 * current version the catalog names. A commit puts immutable objects that nothing names yet and then replaces the
 * table's record by one compare-and-set; a crash before it leaves objects that expiry finds, a crash after it
 * leaves a finished commit.
 */
export class SettledTables {
  readonly #objects: ObjectStore;
  readonly #commitPoint: TableCommitPoint;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #limits: ManifestLimits;
  readonly #reader: HistoryReader;

  constructor(options: SettledTablesOptions) {
    this.#objects = options.objects;
    this.#commitPoint = options.commitPoint;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#limits = options.limits ?? defaultLimits;
    this.#reader = new HistoryReader(options.objects, options.cacheBytesMax ?? cacheBytesDefault);
  }

  /**
   * Commits a change as one new snapshot. Safe to call again after any failure: a change that was committed is
   * recognised. `invalid` for a change that no history could take, `unavailable` after too many lost tries.
   */
  async commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitResult> {
    const { database, change, fencingEpoch } = request;
    return this.#withRecord(request, signal, async (found): Promise<CommitResult | Lost> => {
      const record = found.value;
      const state = await this.#load(record);
      const requirement = checkRequirements(change, record, state.metadata, liveFiles(state.manifests));
      if (requirement.kind === 'already') return { kind: 'already', record };
      if (requirement.kind === 'stale') return requirement;

      const plan = applyChange(state, change, {
        databaseId: database.id,
        fencingEpoch,
        nowMs: this.#clock.nowMs(),
        snapshotId: randomSnapshotId(this.#random),
        commitUuid: randomUuid(this.#random),
        syncMarker: this.#random.bytes(16),
        uriOf: (key) => this.#objects.uriOf(key),
        keyOf: (uri) => this.#objects.keyOf(uri),
        limits: this.#limits,
      });
      await this.#write(plan.objects, signal);

      const sealed = change.kind === 'seal' ? change.groups : [];
      const recordChange: TableRecordChange = {
        metadataKey: plan.metadataKey,
        snapshotId: plan.snapshot['snapshot-id'].toString(),
        historyRoot: plan.historyRoot,
        sealedGroups: [...new Set([...record.sealedGroups, ...sealed])],
        outline: plan.outline,
      };
      const outcome = await this.#replaceRecord(request, found, recordChange, signal);
      if (outcome.kind !== 'committed') return outcome;
      return { kind: 'committed', record: outcome.record.value, snapshot: summarize(plan.snapshot) };
    });
  }

  /**
   * The data files of a snapshot, by default of the record's current one; with `within`, at least those that may hold
   * a row within the bounds. A table without history answers one without files, with id "0" and the schema of the
   * record. `not-found` for a snapshot that has expired. Reads no object when the snapshot is in the cache, and of the
   * current one nothing but manifests that are wanted, which the record outlines.
   */
  async snapshot(
    record: TableRecord,
    snapshotId: string | undefined = undefined,
    within: TimeBounds = everything,
  ): Promise<SnapshotFiles> {
    const { metadataKey, historyRoot, outline } = record;
    const isCurrent = record.snapshotId !== null && (snapshotId ?? record.snapshotId) === record.snapshotId;
    if (!isCurrent || metadataKey === null || historyRoot === null || !outline) {
      return this.chainedSnapshot(record, snapshotId);
    }
    return {
      snapshotId: record.snapshotId,
      historyRoot,
      schema: outlinedSchema(record, outline),
      files: await this.#reader.outlinedFiles({ ...record, metadataKey }, outline, within),
    };
  }

  /**
   * A snapshot as every reader of Iceberg finds it: by way of metadata file and manifest list, with all its files. What
   * it answers for one id never changes.
   */
  async chainedSnapshot(record: TableRecord, snapshotId?: string): Promise<SnapshotFiles> {
    const wanted = snapshotId ?? record.snapshotId ?? emptySnapshotId;
    if (wanted === emptySnapshotId) {
      return { snapshotId: wanted, historyRoot: emptyHistoryRoot, schema: record.schema, files: [] };
    }
    const metadata = await this.#metadataOf(record);
    const snapshot =
      /^\d{1,19}$/.test(wanted) && metadata !== null ? findSnapshot(metadata, BigInt(wanted)) : undefined;
    if (metadata === null || snapshot === undefined) {
      throw new VarveError(
        'not-found',
        `snapshot ${wanted} of table "${record.table}" has expired or never was; want one of the ${metadata?.snapshots.length ?? 0} that are kept`,
      );
    }
    return {
      snapshotId: wanted,
      historyRoot: historyRootOf(snapshot.summary),
      schema: tableSchemaOf(record.table, schemaById(metadata, snapshot['schema-id'])),
      files: await this.#reader.files(metadata, snapshot),
    };
  }

  /** The retained snapshots of a table, newest first; empty before the first commit. */
  async history(record: TableRecord): Promise<readonly SnapshotSummary[]> {
    const metadata = await this.#metadataOf(record);
    if (metadata === null) return [];
    return metadata.snapshots.map(summarize).reverse();
  }

  /**
   * Commits metadata without the snapshots that were replaced before `olderThanMs`; the current one always stays.
   * Deletes nothing: the caller deletes what is unreferenced after a grace period, having asked again.
   */
  async expire(request: ExpireRequest, signal?: AbortSignal): Promise<ExpireResult> {
    return this.#withRecord(request, signal, async (found): Promise<ExpireResult | Lost> => {
      const record = found.value;
      const base = await this.#metadataOf(record);
      if (base === null || record.metadataKey === null || record.snapshotId === null)
        return { kind: 'nothing' };
      const plan = planExpiry(base, {
        databaseId: request.database.id,
        record: { ...record, metadataKey: record.metadataKey },
        olderThanMs: request.olderThanMs,
        snapshotsMax: request.snapshotsMax ?? snapshotsMaxDefault,
        nowMs: this.#clock.nowMs(),
        commitUuid: randomUuid(this.#random),
        uriOf: (key) => this.#objects.uriOf(key),
      });
      if (plan === null) return { kind: 'nothing' };
      const before = await referencedObjects(record.metadataKey, base, this.#reader, this.#objects);
      const after = await referencedObjects(plan.metadataKey, plan.metadata, this.#reader, this.#objects);
      await this.#write([{ key: plan.metadataKey, bytes: encodeTableMetadata(plan.metadata) }], signal);
      const recordChange: TableRecordChange = {
        metadataKey: plan.metadataKey,
        snapshotId: record.snapshotId,
        historyRoot: record.historyRoot ?? emptyHistoryRoot,
        sealedGroups: record.sealedGroups,
        outline: record.outline ?? null,
      };
      const outcome = await this.#replaceRecord(request, found, recordChange, signal);
      if (outcome.kind !== 'committed') return outcome;
      const unreferenced = [...before].filter((key) => !after.has(key));
      return { kind: 'expired', record: outcome.record.value, snapshots: plan.expired, unreferenced };
    });
  }

  /**
   * Every object that the history needs: data files, manifests and manifest lists of all retained snapshots, the
   * current metadata file and those its log names.
   */
  async referencedKeys(record: TableRecord): Promise<Set<string>> {
    const metadata = await this.#metadataOf(record);
    if (metadata === null || record.metadataKey === null) return new Set();
    return referencedObjects(record.metadataKey, metadata, this.#reader, this.#objects);
  }

  /** Reads the record and attempts a change of it, again and again while the compare-and-set is lost. */
  async #withRecord<Result extends { readonly kind: string }>(
    request: ChangeRequest,
    signal: AbortSignal | undefined,
    attempt: (found: Versioned<TableRecord>) => Promise<Result | Lost>,
  ): Promise<Result | Fenced> {
    const { database, table, fencingEpoch } = request;
    const doing = `committing to table "${table}" of database "${database.name}"`;
    for (let tries = 1; tries <= triesMax; tries++) {
      signal?.throwIfAborted();
      const found = await this.#commitPoint.get(database, table, signal);
      if (found === undefined) throw new VarveError('not-found', `${doing}: no such table`);
      // Seen early, it saves the writing; the commit point decides.
      if (found.value.fencingEpoch > fencingEpoch) return { kind: 'fenced', by: found.value.fencingEpoch };
      const result = await attempt(found);
      if (!isLost(result)) return result;
      this.#logger.debug({ database: database.name, table, tries }, 'lost the compare-and-set of a table');
      await this.#clock.sleep(this.#random.next() * retryDelayMs * tries, signal);
    }
    throw new VarveError('unavailable', `${doing}: lost ${triesMax} compare-and-sets; want one to succeed`);
  }

  /** The metadata that the record names; null before the first commit. `corrupt` when it is not the record's. */
  async #metadataOf(record: TableRecord): Promise<TableMetadata | null> {
    if (record.metadataKey === null) return null;
    const metadata = await this.#reader.metadata(record.metadataKey);
    const got = `table ${metadata['table-uuid']} at snapshot ${metadata['current-snapshot-id']}`;
    const want = `table ${record.tableUuid} at snapshot ${record.snapshotId}`;
    if (got === want) return metadata;
    throw new VarveError('corrupt', `metadata file ${record.metadataKey}: got ${got}; want ${want}`);
  }

  async #load(record: TableRecord): Promise<HistoryState> {
    const metadata = await this.#metadataOf(record);
    if (metadata === null) return { record, metadata, manifests: [] };
    const manifests = await this.#reader.manifests(metadata, currentSnapshot(metadata));
    return { record, metadata, manifests };
  }

  /** Puts objects that nothing names yet, so their order means nothing. */
  async #write(objects: PlannedCommit['objects'], signal: AbortSignal | undefined): Promise<void> {
    await forEachBounded(objects, parallelPuts, ({ key, bytes }) => this.#objects.put(key, bytes, signal));
  }

  #replaceRecord(
    request: ChangeRequest,
    found: Versioned<TableRecord>,
    change: TableRecordChange,
    signal: AbortSignal | undefined,
  ): Promise<TableCommitResult> {
    const { database, table, fencingEpoch } = request;
    // THE commit point: before it nothing has changed for any reader, after it everything has.
    return this.#commitPoint.commit(database, table, found.version, change, fencingEpoch, signal);
  }
}

function isLost(result: { readonly kind: string }): result is Lost {
  return result.kind === 'conflict';
}
