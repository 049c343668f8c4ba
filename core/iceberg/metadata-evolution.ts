import { sortedTagNames, type TableSchema } from '../model/schema.js';
import { daySpec, lastPartitionFieldId, partitionSpecs } from './partition-spec.js';
import { findSortOrder, type SortOrder, sortFields, withSortOrder } from './sort-order.js';
import type { Snapshot, TableMetadata } from './table-metadata.js';
import { type IcebergSchema, icebergFields, sameFields } from './table-schema.js';

/** How table metadata goes from one version to the next. Pure. */

/** Schemas and sort orders of a table as the next commit wants them. Both lists only grow. */
export interface Shape {
  readonly schemas: readonly IcebergSchema[];
  readonly currentSchema: IcebergSchema;
  readonly lastColumnId: number;
  readonly sortOrders: readonly SortOrder[];
  readonly defaultSortOrderId: number;
}

/**
 * The shape for `schema`, with a sort order for each way in which added files are sorted. A file may have been
 * written before the table got its newest tag, and is then sorted by fewer.
 */
export function evolveShape(
  base: TableMetadata | null,
  schema: TableSchema,
  sortings: readonly (readonly string[])[],
): Shape {
  const fields = icebergFields(schema);
  const known = base?.schemas ?? [];
  const same = known.find((candidate) => sameFields(candidate.fields, fields));
  const currentSchema = same ?? {
    type: 'struct',
    'schema-id': known.reduce((next, candidate) => Math.max(next, candidate['schema-id'] + 1), 0),
    fields,
  };
  const defaultFields = sortFields(schema, sortedTagNames(schema));
  const sortOrders = sortings
    .map((sortedBy) => sortFields(schema, sortedBy))
    .reduce(withSortOrder, withSortOrder(base?.['sort-orders'] ?? [], defaultFields));
  return {
    schemas: same === undefined ? [...known, currentSchema] : known,
    currentSchema,
    lastColumnId: fields.reduce(
      (highest, field) => Math.max(highest, field.id),
      base?.['last-column-id'] ?? 0,
    ),
    sortOrders,
    defaultSortOrderId: findSortOrder(sortOrders, defaultFields) ?? 0,
  };
}

/** Old metadata files that the log of a metadata file may name; the oldest leave it. */
export const metadataLogMax = 100;

/** Where a table lies and which metadata file it stands at now. */
export interface MetadataPlace {
  readonly tableUuid: string;
  /** URI of the table's folder. */
  readonly location: string;
  /** Properties of the table, set with its first snapshot. */
  readonly properties: Readonly<Record<string, string>>;
  /** URI of the metadata file that `base` was read from; null for the first. */
  readonly baseUri: string | null;
}

/** Metadata with one more snapshot, which becomes the current one. */
export function withSnapshot(
  base: TableMetadata | null,
  shape: Shape,
  snapshot: Snapshot,
  place: MetadataPlace,
): TableMetadata {
  const snapshotId = snapshot['snapshot-id'];
  const timestampMs = snapshot['timestamp-ms'];
  return {
    'format-version': 2,
    'table-uuid': place.tableUuid,
    location: place.location,
    'last-sequence-number': snapshot['sequence-number'],
    'last-updated-ms': timestampMs,
    'last-column-id': shape.lastColumnId,
    'current-schema-id': shape.currentSchema['schema-id'],
    schemas: shape.schemas,
    'default-spec-id': daySpec['spec-id'],
    'partition-specs': partitionSpecs,
    'last-partition-id': lastPartitionFieldId,
    'default-sort-order-id': shape.defaultSortOrderId,
    'sort-orders': shape.sortOrders,
    properties: base?.properties ?? place.properties,
    'current-snapshot-id': snapshotId,
    refs: { main: { 'snapshot-id': snapshotId, type: 'branch' } },
    snapshots: [...(base?.snapshots ?? []), snapshot],
    'snapshot-log': [
      ...(base?.['snapshot-log'] ?? []),
      { 'timestamp-ms': timestampMs, 'snapshot-id': snapshotId },
    ],
    'metadata-log': extendLog(base, place.baseUri, metadataLogMax),
  };
}

/** Metadata without the snapshots that `keep` refuses, and without schemas that only they had. The current one stays. */
export function withoutSnapshots(
  base: TableMetadata,
  keep: (snapshot: Snapshot) => boolean,
  options: { readonly baseUri: string; readonly nowMs: number; readonly logMax: number },
): TableMetadata {
  const current = base['current-snapshot-id'];
  const snapshots = base.snapshots.filter(
    (snapshot) => snapshot['snapshot-id'] === current || keep(snapshot),
  );
  const kept = new Set(snapshots.map((snapshot) => snapshot['snapshot-id']));
  const schemaIds = new Set(snapshots.map((snapshot) => snapshot['schema-id'])).add(
    base['current-schema-id'],
  );
  // The log must have no gap: what lies before an expired snapshot leaves it too.
  const log = base['snapshot-log'];
  const firstKept = log.findLastIndex((line) => !kept.has(line['snapshot-id'])) + 1;
  return {
    ...base,
    'last-updated-ms': Math.max(options.nowMs, base['last-updated-ms']),
    schemas: base.schemas.filter((schema) => schemaIds.has(schema['schema-id'])),
    snapshots,
    'snapshot-log': log.slice(firstKept),
    'metadata-log': extendLog(base, options.baseUri, options.logMax),
  };
}

function extendLog(
  base: TableMetadata | null,
  baseUri: string | null,
  logMax: number,
): TableMetadata['metadata-log'] {
  if (base === null || baseUri === null) return [];
  const line = { 'timestamp-ms': base['last-updated-ms'], 'metadata-file': baseUri };
  return [...base['metadata-log'], line].slice(-logMax);
}
