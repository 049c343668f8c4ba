import type { ColumnStatistics } from '../parquet/types.js';
import { decodeAvroContainer } from './avro-container.js';
import type { AvroCursor } from './avro-cursor.js';
import { decodeStatistics, skipStatistics, timeBoundsOf } from './file-statistics.js';
import { entryStatuses, type ManifestContext, type ManifestEntry } from './manifest.js';
import { manifestEntryFormat } from './manifest-avro-schemas.js';
import type { ManifestFile } from './manifest-list.js';
import { contentHashOfKey } from './object-paths.js';
import { type PartitionSpec, specById } from './partition-spec.js';
import type { DataFile } from './types.js';

/**
 * Reads manifests. Hot: a cold query reads all of a table's, thousands of files of dozens of columns. Fields come in
 * the order of manifest-avro-schemas.ts; the container has checked that the file was written with that very schema.
 */

/** A line of a manifest list, or a manifest known otherwise, whose entries then must tell their own numbers. */
type ManifestSource = Pick<ManifestFile, 'key' | 'specId'> &
  Partial<Pick<ManifestFile, 'snapshotId' | 'sequence'>>;

/**
 * The entries of the manifest that `line` of a manifest list names. Numbers left open are inherited from the line,
 * as the specification says ("Sequence Number Inheritance"). `corrupt` when the manifest is damaged or is not ours.
 */
export function decodeManifest(
  line: ManifestSource,
  bytes: Uint8Array,
  context: ManifestContext,
): readonly ManifestEntry[] {
  const spec = specById(line.specId);
  return decodeAvroContainer(line.key, bytes, manifestEntryFormat(spec), (cursor) => {
    const status = entryStatuses[cursor.long()];
    if (status === undefined) throw new RangeError('got an unknown entry status; want 0, 1 or 2');
    const snapshotId = cursor.present() ? cursor.exactLong() : inherited(line.snapshotId);
    const sequence = cursor.present() ? cursor.long() : inherited(line.sequence);
    const fileSequence = cursor.present() ? cursor.long() : inherited(line.sequence);
    return { status, snapshotId, fileSequence, file: readDataFile(cursor, spec, sequence, context) };
  });
}

function inherited<Value>(value: Value | undefined): Value {
  if (value !== undefined) return value;
  throw new RangeError('got an entry that inherits its numbers; want one that tells them');
}

function readDataFile(
  cursor: AvroCursor,
  spec: PartitionSpec,
  sequence: number,
  context: ManifestContext,
): DataFile {
  if (cursor.long() !== 0) throw new RangeError('got a delete file; want data files only');
  const key = context.keyOf(cursor.text());
  cursor.skipSlice(); // file_format
  const day = spec.fields.length === 1 && cursor.present() ? cursor.long() : null;
  const rows = cursor.long();
  const bytes = cursor.long();
  const statisticsAt = cursor.at;
  const [minTimeNs, maxTimeNs] = timeBoundsOf(key, skipStatistics(cursor));
  if (cursor.present()) cursor.skipSlice(); // key_metadata
  const rowGroupOffsets = readLongs(cursor);
  readLongs(cursor); // equality_ids
  const sortOrderId = cursor.present() ? cursor.long() : 0;
  const block = cursor.bytes;
  let decoded: WeakRef<readonly ColumnStatistics[]> | undefined;
  return {
    key,
    contentHash: contentHashOfKey(key),
    bytes,
    rows,
    day,
    minTimeNs,
    maxTimeNs,
    // Decoded when asked for and let go at the next collection: as objects they would take more memory than all the
    // rest of a large history's files.
    get columns() {
      const known = decoded?.deref();
      if (known !== undefined) return known;
      const columns = decodeStatistics(block, statisticsAt);
      decoded = new WeakRef(columns);
      return columns;
    },
    rowGroupOffsets,
    sortedBy: context.sortedByOf(sortOrderId),
    sequence,
  };
}

function readLongs(cursor: AvroCursor): number[] {
  const values: number[] = [];
  if (cursor.present()) cursor.items(() => values.push(cursor.long()));
  return values;
}
