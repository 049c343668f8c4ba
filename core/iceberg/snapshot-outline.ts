import type { ManifestOutline, SnapshotOutline, TableRecord } from '../catalog/types.js';
import type { TableSchema } from '../model/schema.js';
import type { LoadedManifest } from './loaded-manifest.js';
import { manifestName, namedManifestKey } from './object-paths.js';
import type { SortOrder } from './sort-order.js';
import { type IcebergSchema, icebergFields } from './table-schema.js';

/**
 * What the table's record says of its current snapshot beside naming it, so that a reader that has just started goes
 * from the record to the manifests that it wants, past the metadata file and the manifest list.
 */

/** A record is read by every query; a history that needs more than this is read by way of its metadata file. */
const manifestsMax = 64;
const sortTagsMax = 256;

/** A span of time that is asked about; null for no bound, both inclusive. */
export interface TimeBounds {
  readonly minTimeNs: bigint | null;
  readonly maxTimeNs: bigint | null;
}

/** A manifest to be read without its line in a manifest list. */
export interface ManifestPlace {
  readonly key: string;
  readonly specId: number;
}

/** The outline of a snapshot with these manifests; null for one that is too large to be told in a record. */
export function outlineOf(
  manifests: readonly LoadedManifest[],
  schema: TableSchema,
  sortOrders: readonly SortOrder[],
): SnapshotOutline | null {
  const outlined = manifests.flatMap((manifest) => outlineManifest(manifest) ?? []);
  const sortTags = sortOrders.reduce((sum, { fields }) => sum + fields.length, 0);
  if (outlined.length > manifestsMax || sortTags > sortTagsMax) return null;
  return {
    columns: schema.columns.length,
    hasTimeNs: schema.hasTimeNs,
    sortOrders: sortOrders.map((order) => ({
      id: order['order-id'],
      fieldIds: order.fields.map((field) => field['source-id']),
    })),
    manifests: outlined,
  };
}

/** Undefined for a manifest without live files. */
function outlineManifest({ line, entries }: LoadedManifest): ManifestOutline | undefined {
  let minTimeNs: bigint | undefined;
  let maxTimeNs: bigint | undefined;
  for (const { status, file } of entries) {
    if (status === 'deleted') continue;
    if (minTimeNs === undefined || file.minTimeNs < minTimeNs) minTimeNs = file.minTimeNs;
    if (maxTimeNs === undefined || file.maxTimeNs > maxTimeNs) maxTimeNs = file.maxTimeNs;
  }
  if (minTimeNs === undefined || maxTimeNs === undefined) return undefined;
  return { name: manifestName(line.key), specId: line.specId, minTimeNs, maxTimeNs };
}

/** The schema that the snapshot was committed with: columns are only ever appended, so it is a part of today's. */
export function outlinedSchema(record: TableRecord, outline: SnapshotOutline): TableSchema {
  return {
    table: record.table,
    columns: record.schema.columns.slice(0, outline.columns),
    hasTimeNs: outline.hasTimeNs,
  };
}

/** The manifests that name a file with a row within the bounds. `metadataKey` is that of the record. */
export function outlinedManifests(
  metadataKey: string,
  outline: SnapshotOutline,
  within: TimeBounds,
): readonly ManifestPlace[] {
  const { minTimeNs, maxTimeNs } = within;
  return outline.manifests
    .filter(
      (manifest) =>
        (minTimeNs === null || manifest.maxTimeNs >= minTimeNs) &&
        (maxTimeNs === null || manifest.minTimeNs <= maxTimeNs),
    )
    .map(({ name, specId }) => ({ key: namedManifestKey(metadataKey, name), specId }));
}

/** What the manifests of the outline are read with. */
export function outlinedContext(
  schema: TableSchema,
  outline: SnapshotOutline,
): { readonly schema: IcebergSchema; readonly sortOrders: readonly SortOrder[] } {
  return {
    schema: { type: 'struct', 'schema-id': 0, fields: icebergFields(schema) },
    sortOrders: outline.sortOrders.map(({ id, fieldIds }) => ({
      'order-id': id,
      fields: fieldIds.map((fieldId) => ({
        transform: 'identity',
        'source-id': fieldId,
        direction: 'asc',
        'null-order': 'nulls-first',
      })),
    })),
  };
}
