import type { Database, TableRecord } from '../../core/catalog/types.js';
import { tableFolder } from '../../core/iceberg/object-paths.js';
import type { Clock } from '../../core/ports/clock.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { failpoint } from '../../core/std/failpoint.js';
import type { FilesInFlight } from '../rows/files-in-flight.js';
import { garbageFolder, readGarbageLists, writeGarbageLists } from './garbage-list.js';

export interface GarbageTools {
  readonly objects: ObjectStore;
  /** Keys that a retained snapshot or the metadata log of the table names, as of now. */
  readonly referencedKeys: (database: Database, record: TableRecord) => Promise<ReadonlySet<string>>;
  readonly inFlight: FilesInFlight;
  readonly clock: Clock;
  /** How long an object stays after it was first seen unreferenced, and how old it must be to be looked at. */
  readonly graceMs: number;
}

/** Objects named in one deletion call. */
const deleteMax = 500;

/**
 * Phase one: finds objects of the table that nothing names and lists them. Such are the files of expired snapshots
 * and the leavings of crashes. The listing comes before the references are read: what is committed in between is
 * then referenced. Returns how many were newly listed.
 */
export async function listGarbage(
  database: Database,
  record: TableRecord,
  tools: GarbageTools,
  signal?: AbortSignal,
): Promise<number> {
  const { objects, clock, graceMs } = tools;
  const folder = tableFolder(database.id, record.tableUuid);
  const lists = await readGarbageLists(objects, folder, signal);
  const known = new Set(lists.flatMap((list) => list.keys));
  const oldBeforeMs = clock.nowMs() - graceMs;
  const candidates: string[] = [];
  for await (const { key, modifiedMs } of objects.list(`${folder}/`, signal)) {
    if (key.startsWith(garbageFolder(folder)) || known.has(key)) continue;
    // A young object may be waiting for its commit.
    if (modifiedMs <= oldBeforeMs) candidates.push(key);
  }
  if (candidates.length === 0) return 0;
  const referenced = await tools.referencedKeys(database, record);
  const garbage = candidates.filter((key) => !referenced.has(key) && !tools.inFlight.isHeld(key));
  await writeGarbageLists(objects, folder, clock.nowMs(), garbage, signal);
  return garbage.length;
}

/**
 * Phase two: deletes what was listed a grace ago and is named by nothing still. Returns how many objects
 * went.
 */
export async function deleteGarbage(
  database: Database,
  record: TableRecord,
  tools: GarbageTools,
  signal?: AbortSignal,
): Promise<number> {
  const { objects, clock, graceMs, inFlight } = tools;
  const folder = tableFolder(database.id, record.tableUuid);
  const ripeBeforeMs = clock.nowMs() - graceMs;
  let deleted = 0;
  // From here to the deletion none of the keys can be put or committed, so the references stay true.
  const deleteUnreferenced = async (keys: readonly string[]): Promise<void> => {
    const referenced = await tools.referencedKeys(database, record);
    const garbage = keys.filter((key) => !referenced.has(key));
    failpoint('expire.before-delete');
    await objects.deleteMany(garbage, signal);
    failpoint('expire.during-delete');
    deleted += garbage.length;
  };
  const lists = await readGarbageLists(objects, folder, signal);
  const ripe = lists.filter(({ firstSeenMs }) => firstSeenMs <= ripeBeforeMs);
  for (const list of ripe) {
    for (let from = 0; from < list.keys.length; from += deleteMax) {
      await inFlight.deleteUnheld(list.keys.slice(from, from + deleteMax), deleteUnreferenced);
    }
    // The list goes last: after a crash in between its objects are deleted again, which is harmless.
    await objects.deleteMany([list.key], signal);
  }
  return deleted;
}
