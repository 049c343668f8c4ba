import { formatTimeNs, nsPerMs } from '../../core/model/window.js';
import type {
  CompactReport,
  SealReport,
  SettledStatus,
  TruncateReport,
  VerifyReport,
} from '../compactor-control.js';

/** The answers of the compactor as JSON: snake case, times as RFC 3339 text. docs/compaction.md lists the members. */

/** The body of `GET /api/v1/settled`. */
export function statusJson(status: SettledStatus): object {
  return {
    database: status.database,
    settled_through: formatTimeNs(status.settledThroughNs),
    compactor_active: status.active,
    tables: status.tables.map((table) => ({
      table: table.table,
      settled_through: formatTimeNs(status.settledThroughNs),
      snapshot: table.snapshotId,
      history_root: table.historyRoot,
      files: table.files,
      rows: table.rows,
      bytes: table.bytes,
    })),
    groups: status.groups.map((group) => ({
      group: group.group,
      kind: group.kind,
      state: group.state,
      start: timeOrNull(group.startNs),
      end: timeOrNull(group.endNs),
      deadline: formatTimeNs(BigInt(Math.floor(group.deadlineMs)) * nsPerMs),
      age_seconds: group.ageMs / 1000,
      owners: group.owners,
      reason: group.reason,
    })),
    exceptions: status.exceptions.map(({ group, exception }) => ({ group, exception })),
  };
}

/** The body of `POST /api/v1/seal`. */
export function sealJson(report: SealReport): object {
  return {
    database: report.database,
    settled_through: formatTimeNs(report.settledThroughNs),
    sealed: report.sealed.map((group) => ({
      group: group.group,
      kind: group.kind,
      start: timeOrNull(group.startNs),
      end: timeOrNull(group.endNs),
      tables: group.tables,
      files: group.files,
      rows: group.rows,
      bytes: group.bytes,
    })),
    waiting: report.waiting.map(({ group, reason }) => ({ group, reason })),
  };
}

/** The body of `POST /api/v1/truncate-shards`. */
export function truncateJson(reports: readonly TruncateReport[]): object {
  return {
    databases: reports.map(({ database, groups }) => ({
      database,
      groups: groups.map(({ group, startNs, endNs, owners, untold }) => ({
        group,
        start: timeOrNull(startNs),
        end: timeOrNull(endNs),
        owners,
        untold,
      })),
    })),
  };
}

/** The body of `POST /api/v1/compact`. */
export function compactJson(report: CompactReport): object {
  return {
    database: report.database,
    tables: report.tables.map((table) => ({
      table: table.table,
      merges: table.merges,
      files_before: table.filesBefore,
      files_after: table.filesAfter,
      conflicts: table.conflicts,
    })),
  };
}

/** The body of `GET /api/v1/verify`. */
export function verifyJson(report: VerifyReport): object {
  return {
    database: report.database,
    ok: report.differences.length === 0,
    files: report.files,
    bytes: report.bytes,
    tables: report.tables.map((table) => ({
      table: table.table,
      snapshot: table.snapshotId,
      history_root: table.historyRoot,
      computed_root: table.computedRoot,
      files: table.files,
    })),
    differences: report.differences.map(({ table, key, problem }) => ({ table, file: key, problem })),
  };
}

function timeOrNull(timeNs: bigint | null): string | null {
  return timeNs === null ? null : formatTimeNs(timeNs);
}
