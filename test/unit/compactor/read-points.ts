import { arrowBlocks } from '../../../compactor/rows/arrow-blocks.js';
import { parquetBlocks } from '../../../compactor/rows/parquet-blocks.js';
import type { FieldValues, NarrowValues, RowBlock } from '../../../compactor/rows/row-block.js';
import { type RowLayout, rowLayoutOf } from '../../../compactor/rows/row-layout.js';
import type { TableRecord } from '../../../core/catalog/types.js';
import { widen } from '../../../core/codec/narrow-integers.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { stringBytes } from '../../../core/model/columns.js';
import type { PlainPoint } from '../../support/rows.js';
import type { World } from './world.js';

/** A table as a reader of all files and of the hot groups not sealed sees it. */
export interface TableView {
  /** Points by series and time; of several values the one of the latest source. */
  readonly points: ReadonlyMap<string, PlainPoint['fields']>;
  /** Rows read, points that stand in several places counted for each. */
  readonly rows: number;
  readonly settledRows: number;
  readonly files: readonly DataFile[];
}

export function pointKey(point: Pick<PlainPoint, 'tags' | 'timeNs'>): string {
  const tags = Object.entries(point.tags).sort(([left], [right]) => (left < right ? -1 : 1));
  return `${JSON.stringify(tags)}@${point.timeNs}`;
}

/** The points one by one as a model: what is written later wins, field by field. */
export function modelOf(points: readonly PlainPoint[]): Map<string, PlainPoint['fields']> {
  const model = new Map<string, PlainPoint['fields']>();
  for (const point of points) lay(model, point);
  return model;
}

function lay(model: Map<string, PlainPoint['fields']>, point: PlainPoint): void {
  const key = pointKey(point);
  model.set(key, { ...model.get(key), ...point.fields });
}

/** Reads the list of groups first, then the table's record, as a query does. */
export async function viewOf(world: World, table: string): Promise<TableView> {
  const database = await world.databaseRecord();
  const { groups } = (await world.catalogs.groups.get(database)).value;
  const record = (await world.catalogs.tables.get(world.database, table))?.value;
  if (record === undefined) throw new Error(`no table ${table}`);
  const layout = rowLayoutOf(record.schema);
  const points = new Map<string, PlainPoint['fields']>();
  let rows = 0;
  const files = await filesOf(world, record);
  for (const file of files) {
    for await (const point of pointsOfFile(world, file, layout)) {
      lay(points, point);
      rows += 1;
    }
  }
  const settledRows = rows;
  const hot = groups
    .filter((group) => !record.sealedGroups.includes(group.id))
    .sort((left, right) => (left.closeSequence ?? Infinity) - (right.closeSequence ?? Infinity));
  for (const group of hot) {
    for (const shard of group.shards.keys()) {
      const chunks = await world.owner.describe({ database: database.id, group: group.id, table });
      if (!chunks.some((chunk) => chunk.shard === shard)) continue;
      const columns = [...layout.tags, ...layout.fields].map(({ name }) => name);
      const scan = { database: database.id, group: group.id, shard, table, columns, tags: [] };
      const pieces = world.owner.scan({ ...scan, minTimeNs: null, maxTimeNs: null });
      for await (const block of arrowBlocks(pieces, layout)) {
        for (const point of pointsOfBlock(block, layout)) {
          lay(points, point);
          rows += 1;
        }
      }
    }
  }
  return { points, rows, settledRows, files };
}

/** The live files, lowest precedence first. */
export async function filesOf(world: World, record: TableRecord): Promise<readonly DataFile[]> {
  const { files } = await world.openSettled().snapshot(record);
  return [...files].sort((left, right) => left.sequence - right.sequence);
}

export async function* pointsOfFile(
  world: Pick<World, 'objects'>,
  file: DataFile,
  layout: RowLayout,
): AsyncGenerator<PlainPoint> {
  const bytes = await world.objects.get(file.key);
  for await (const block of parquetBlocks(bytes, layout)) yield* pointsOfBlock(block, layout);
}

/** The rows of a block as plain points, in order. */
export function pointsOfBlock(block: RowBlock, layout: RowLayout): PlainPoint[] {
  const points: PlainPoint[] = [];
  for (let row = 0; row < block.rowCount; row++) {
    const tags: Record<string, string> = {};
    layout.tags.forEach(({ name }, index) => {
      const column = block.tags[index];
      const code = column?.codes[row] ?? -1;
      if (column != null && code >= 0) tags[name] = text(stringBytes(column.dictionary, code));
    });
    const fields: Record<string, number | bigint | boolean | string> = {};
    layout.fields.forEach(({ name }, index) => {
      const column = block.fields[index];
      if (column == null || column.validity?.[row] === 0) return;
      fields[name] = valueAt(column, row);
    });
    const timeNs = (block.micros[row] ?? 0n) * 1000n + BigInt(block.nanos?.[row] ?? 0);
    points.push({ tags, timeNs, fields });
  }
  return points;
}

function valueAt(column: FieldValues | NarrowValues, row: number): number | bigint | boolean | string {
  if (column.kind === 'narrow') return widen(column.narrow.subarray(row, row + 1), column.type)[0] ?? 0;
  if (column.type === 'string') return text(stringBytes(column.values, row));
  if (column.type === 'boolean') return column.values[row] === 1;
  return column.values[row] ?? 0;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
