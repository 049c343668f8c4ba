import type { FieldValues, RowBlock } from '../../../compactor/rows/row-block.js';
import type { RowLayout } from '../../../compactor/rows/row-layout.js';
import { packStrings } from '../../../core/model/columns.js';
import { compareUtf8, type TableSchema } from '../../../core/model/schema.js';
import type { TagCodes } from '../../../core/parquet/types.js';
import type { PlainPoint } from '../../support/rows.js';

/** A schema with every type of field. */
export const everyType: TableSchema = {
  table: 't',
  columns: [
    { name: 'zone', kind: 'tag', type: 'string', fieldId: 3 },
    { name: 'd', kind: 'field', type: 'double', fieldId: 4 },
    { name: 'host', kind: 'tag', type: 'string', fieldId: 5 },
    { name: 'i', kind: 'field', type: 'bigint', fieldId: 6 },
    { name: 'u', kind: 'field', type: 'ubigint', fieldId: 7 },
    { name: 'b', kind: 'field', type: 'boolean', fieldId: 8 },
    { name: 's', kind: 'field', type: 'string', fieldId: 9 },
  ],
  hasTimeNs: true,
};

/** Order of settled files, straight from its definition. */
export function comparePoints(layout: RowLayout, left: PlainPoint, right: PlainPoint): number {
  for (const { name } of layout.tags) {
    const a = left.tags[name];
    const b = right.tags[name];
    if (a === b) continue;
    if (a === undefined) return -1;
    if (b === undefined) return 1;
    return compareUtf8(a, b);
  }
  return left.timeNs < right.timeNs ? -1 : left.timeNs > right.timeNs ? 1 : 0;
}

/** Sorted points, each once, as blocks of at most `blockRows` rows; columns that no point of the source has are lacking. */
export function blocksOf(points: readonly PlainPoint[], layout: RowLayout, blockRows: number): RowBlock[] {
  const has = (name: string): boolean => points.some((p) => name in p.tags || name in p.fields);
  const blocks: RowBlock[] = [];
  for (let from = 0; from < points.length; from += blockRows) {
    const part = points.slice(from, from + blockRows);
    blocks.push({
      rowCount: part.length,
      micros: BigInt64Array.from(part, ({ timeNs }) => (timeNs - nanoOf(timeNs)) / 1000n),
      nanos: part.every(({ timeNs }) => nanoOf(timeNs) === 0n)
        ? null
        : Int32Array.from(part, ({ timeNs }) => Number(nanoOf(timeNs))),
      tags: layout.tags.map(({ name }) => (has(name) ? tagsOf(part, name) : null)),
      fields: layout.fields.map(({ name, type }) => (has(name) ? fieldsOf(part, name, type) : null)),
    });
  }
  return blocks;
}

function nanoOf(timeNs: bigint): bigint {
  return ((timeNs % 1000n) + 1000n) % 1000n;
}

function tagsOf(points: readonly PlainPoint[], name: string): TagCodes {
  // Backwards, so that codes are in no order of their values.
  const values = [...new Set(points.flatMap(({ tags }) => tags[name] ?? []))].sort().reverse();
  const codes = Int32Array.from(points, ({ tags }) => values.indexOf(tags[name] ?? ''));
  return { codes, dictionary: packStrings(values.map((value) => Buffer.from(value))) };
}

function fieldsOf(points: readonly PlainPoint[], name: string, type: FieldValues['type']): FieldValues {
  const values = points.map(({ fields }) => fields[name]);
  const validity = values.includes(undefined)
    ? Uint8Array.from(values, (value) => (value === undefined ? 0 : 1))
    : null;
  const kind = 'field';
  switch (type) {
    case 'double':
      return { kind, type, validity, values: Float64Array.from(values, (v) => Number(v ?? 0)) };
    case 'bigint':
      return { kind, type, validity, values: BigInt64Array.from(values, (v) => (v ?? 0n) as bigint) };
    case 'ubigint':
      return { kind, type, validity, values: BigUint64Array.from(values, (v) => (v ?? 0n) as bigint) };
    case 'boolean':
      return { kind, type, validity, values: Uint8Array.from(values, (v) => (v === true ? 1 : 0)) };
    case 'string':
      return { kind, type, validity, values: packStrings(values.map((v) => Buffer.from(String(v ?? '')))) };
  }
}

export async function* streamOf<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}
