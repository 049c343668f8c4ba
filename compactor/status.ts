import { ownersOf } from '../core/catalog/group-list.js';
import type { Database, ShardGroup, TableRecord } from '../core/catalog/types.js';
import type { SnapshotFiles } from '../core/iceberg/types.js';
import type { GroupId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import type { CompactorCatalog } from './compactor-catalog.js';
import type { GroupStatus, SettledStatus, TableStatus } from './compactor-control.js';
import { describeExceptions } from './seal/agree-on-content.js';

export interface StatusTools {
  readonly catalog: CompactorCatalog;
  readonly settled: { snapshot(record: TableRecord): Promise<SnapshotFiles> };
  readonly clock: Clock;
  /** Whether this process does the work. */
  readonly active: boolean;
  readonly reasonOf: (group: GroupId) => string | undefined;
  readonly signal?: AbortSignal;
}

/** Where the settling of a database stands, from the catalog and the manifests (which are cached). */
export async function settledStatus(database: Database, tools: StatusTools): Promise<SettledStatus> {
  const list = (await tools.catalog.groups.get(database, tools.signal)).value;
  const tables: TableStatus[] = [];
  for (const { value: record } of await tools.catalog.tables.list(database.name, tools.signal)) {
    tables.push(await tableStatus(record, tools));
  }
  return {
    database: database.name,
    settledThroughNs: list.settledThroughNs,
    active: tools.active,
    tables,
    groups: list.groups.filter((group) => group.state !== 'sealed').map((group) => groupStatus(group, tools)),
    exceptions: list.groups.flatMap(({ id, sealExceptions }) =>
      sealExceptions === undefined ? [] : [{ group: id, exception: describeExceptions(sealExceptions) }],
    ),
  };
}

async function tableStatus(record: TableRecord, { settled }: StatusTools): Promise<TableStatus> {
  const { files } = await settled.snapshot(record);
  return {
    table: record.table,
    snapshotId: record.snapshotId,
    historyRoot: record.historyRoot,
    files: files.length,
    rows: files.reduce((rows, file) => rows + file.rows, 0),
    bytes: files.reduce((bytes, file) => bytes + file.bytes, 0),
  };
}

function groupStatus(group: ShardGroup, { clock, reasonOf }: StatusTools): GroupStatus {
  return {
    group: group.id,
    kind: group.kind,
    state: group.state,
    startNs: group.startNs,
    endNs: group.endNs,
    deadlineMs: group.closeAfterMs,
    ageMs: Math.max(0, clock.nowMs() - group.createdMs),
    owners: ownersOf(group),
    reason: group.state === 'closing' ? (reasonOf(group.id) ?? null) : null,
  };
}
