import type { Database, TableRecord } from '../../core/catalog/types.js';
import type { CommitRequest, CommitResult } from '../../core/iceberg/settled-tables.js';
import type { SnapshotFiles, SnapshotSummary } from '../../core/iceberg/types.js';
import type { Clock } from '../../core/ports/clock.js';
import { VarveError } from '../../core/std/errors.js';
import { failpoint } from '../../core/std/failpoint.js';
import type { Logger } from '../../core/std/logger.js';
import { fencedError, type Hold } from '../fencing.js';
import type { CompactorMetrics } from '../metrics.js';
import type { FilesInFlight } from '../rows/files-in-flight.js';
import { type MergeFilesTools, mergeFiles } from './merge-files.js';
import { type MergePlan, type MergeSettings, planMerges } from './plan-merges.js';

/** What merging needs of SettledTables. */
export interface MergeHistory {
  snapshot(record: TableRecord, snapshotId?: string): Promise<SnapshotFiles>;
  history(record: TableRecord): Promise<readonly SnapshotSummary[]>;
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitResult>;
}

export interface MergerOptions extends MergeFilesTools {
  readonly settled: MergeHistory;
  readonly inFlight: FilesInFlight;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  readonly settings: MergeSettings;
  /** A merged file must be committed this soon after work on it began; well below the grace of expiry. */
  readonly commitWithinMs: number;
}

/** What merging did to one table. */
export interface MergeOutcome {
  readonly merges: number;
  readonly filesRemoved: number;
  readonly filesAdded: number;
  /** Points in the files added. */
  readonly rows: number;
  readonly conflicts: number;
  /** True when a plan met a changed history: planning again may find more to do. */
  readonly stale: boolean;
}

const nothingMerged: MergeOutcome = {
  merges: 0,
  filesRemoved: 0,
  filesAdded: 0,
  rows: 0,
  conflicts: 0,
  stale: false,
};

/** Makes few files of many: the same points before and after, in a new snapshot. */
export class Merger {
  readonly #options: MergerOptions;

  constructor(options: MergerOptions) {
    this.#options = options;
  }

  /** Plans the merges of a table on its current snapshot and carries them out. `now`: wait for nothing. */
  async mergeTable(database: Database, record: TableRecord, hold: Hold, now: boolean): Promise<MergeOutcome> {
    const { settled, clock, settings } = this.#options;
    if (record.snapshotId === null) return nothingMerged;
    const [{ files }, history] = await Promise.all([settled.snapshot(record), settled.history(record)]);
    const made = new Map(history.map(({ sequence, timestampMs }) => [sequence, timestampMs]));
    const tagFieldIds = record.schema.columns
      .filter((column) => column.kind === 'tag')
      .map((column) => column.fieldId);
    const context = { nowMs: clock.nowMs(), tagFieldIds, madeMs: (s: number) => made.get(s), now };
    let total = nothingMerged;
    for (const plan of planMerges(files, context, settings)) {
      hold.signal.throwIfAborted();
      const outcome = await this.#carryOut(database, record, plan, hold);
      total = sum(total, outcome);
      // A plan is made for the files as the plans before it leave them.
      if (outcome.stale) break;
    }
    return total;
  }

  async #carryOut(
    database: Database,
    record: TableRecord,
    plan: MergePlan,
    hold: Hold,
  ): Promise<MergeOutcome> {
    const { settled, inFlight, clock, metrics, logger, commitWithinMs } = this.#options;
    const startedMs = clock.monotonicMs();
    const scope = inFlight.open();
    try {
      const merged = await mergeFiles(database, record, plan, this.#options, scope, hold.signal);
      const tookMs = clock.monotonicMs() - startedMs;
      if (tookMs > commitWithinMs) {
        throw new VarveError(
          'timeout',
          `merging ${plan.inputs.length} files of "${record.table}" took ${Math.round(tookMs)} ms; want at most ${commitWithinMs}`,
        );
      }
      failpoint('merge.before-commit');
      const removed = plan.inputs.map((file) => file.key);
      const change = { kind: 'merge', removed, added: merged.added, sequence: plan.sequence } as const;
      const request = { database, table: record.table, change, fencingEpoch: hold.epoch };
      const result = await settled.commit(request, hold.signal);
      if (result.kind === 'fenced') {
        throw fencedError(`merging files of "${record.table}"`, hold.epoch, result.by);
      }
      failpoint('merge.after-commit');
      if (result.kind === 'stale') return { ...nothingMerged, stale: true };
      const bytes = merged.added.reduce((total, file) => total + file.bytes, 0);
      const seconds = (clock.monotonicMs() - startedMs) / 1000;
      metrics.merged(plan.reason, plan.inputs.length, merged.rowsOut, bytes, seconds);
      metrics.conflicts(merged.conflicts);
      logger.info(
        {
          database: database.name,
          table: record.table,
          reason: plan.reason,
          files: plan.inputs.length,
          added: merged.added.length,
          rows: merged.rowsOut,
          bytes,
          conflicts: merged.conflicts,
          seconds,
        },
        'merged files',
      );
      return {
        merges: 1,
        filesRemoved: removed.length,
        filesAdded: merged.added.length,
        rows: merged.rowsOut,
        conflicts: merged.conflicts,
        stale: false,
      };
    } finally {
      scope.letGo();
    }
  }
}

function sum(left: MergeOutcome, right: MergeOutcome): MergeOutcome {
  return {
    merges: left.merges + right.merges,
    filesRemoved: left.filesRemoved + right.filesRemoved,
    filesAdded: left.filesAdded + right.filesAdded,
    rows: left.rows + right.rows,
    conflicts: left.conflicts + right.conflicts,
    stale: left.stale || right.stale,
  };
}
