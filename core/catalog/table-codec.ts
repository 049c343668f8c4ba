import { type Column, firstColumnFieldId, type TableSchema } from '../model/schema.js';
import { readGroupId } from './group-codec.js';
import type { RecordCodec } from './record-store.js';
import { Shape } from './shape.js';
import type { SnapshotOutline, TableRecord } from './types.js';

const format = 1;

/**
 * Items `table/<database id>/<table>`. Columns are pairs of type (`tag` or the type of the field) and name, in order
 * of field id, which is not written: ids follow one another from firstColumnFieldId on, because columns are never removed.
 */
export const tableCodec: RecordCodec<TableRecord> = {
  encode: (record) =>
    JSON.stringify({
      format,
      database: record.database,
      table: record.table,
      tableUuid: record.tableUuid,
      metadataKey: record.metadataKey,
      snapshotId: record.snapshotId,
      historyRoot: record.historyRoot,
      sealedGroups: record.sealedGroups,
      fencingEpoch: record.fencingEpoch,
      hasTimeNs: record.schema.hasTimeNs,
      columns: record.schema.columns.map((column) => [
        column.kind === 'tag' ? 'tag' : column.type,
        column.name,
      ]),
      ...(record.outline ? { outline: encodeOutline(record.outline) } : {}),
    }),
  decode: (key, text) => {
    const shape = Shape.parse(key, text, format);
    const string = (value: Shape): string => value.string();
    const table = shape.at('table').string();
    return {
      database: shape.at('database').string(),
      table,
      schema: readSchema(shape, table),
      tableUuid: shape.at('tableUuid').string(),
      metadataKey: shape.at('metadataKey').nullOr(string),
      snapshotId: shape.at('snapshotId').nullOr(string),
      historyRoot: shape.at('historyRoot').nullOr(string),
      sealedGroups: shape.at('sealedGroups').array(readGroupId),
      fencingEpoch: shape.at('fencingEpoch').integer(),
      ...(shape.has('outline') ? { outline: readOutline(shape.at('outline')) } : {}),
    };
  },
};

function encodeOutline(outline: SnapshotOutline): object {
  return {
    columns: outline.columns,
    hasTimeNs: outline.hasTimeNs,
    sortOrders: outline.sortOrders.map(({ id, fieldIds }) => [id, fieldIds]),
    manifests: outline.manifests.map(({ name, specId, minTimeNs, maxTimeNs }) => ({
      name,
      specId,
      minTimeNs: minTimeNs.toString(),
      maxTimeNs: maxTimeNs.toString(),
    })),
  };
}

function readOutline(shape: Shape): SnapshotOutline {
  return {
    columns: shape.at('columns').integer(),
    hasTimeNs: shape.at('hasTimeNs').boolean(),
    sortOrders: shape.at('sortOrders').array((order) => {
      const [id, fieldIds] = order.pair();
      return { id: id.integer(), fieldIds: fieldIds.array((fieldId) => fieldId.integer()) };
    }),
    manifests: shape.at('manifests').array((manifest) => ({
      name: manifest.at('name').string(),
      specId: manifest.at('specId').integer(),
      minTimeNs: manifest.at('minTimeNs').bigint(),
      maxTimeNs: manifest.at('maxTimeNs').bigint(),
    })),
  };
}

function readSchema(shape: Shape, table: string): TableSchema {
  return {
    table,
    columns: shape.at('columns').array(readColumn),
    hasTimeNs: shape.at('hasTimeNs').boolean(),
  };
}

function readColumn(shape: Shape, index: number): Column {
  const fieldId = firstColumnFieldId + index;
  const [type, name] = shape.pair();
  const kind = type.oneOf('tag', 'double', 'bigint', 'ubigint', 'boolean', 'string');
  return kind === 'tag'
    ? { name: name.string(), kind: 'tag', type: 'string', fieldId }
    : { name: name.string(), kind: 'field', type: kind, fieldId };
}
