import { type FieldColumn, packStrings, type StringValues, stringBytes, type TableRows } from './columns.js';

/**
 * The rows at the given positions, in that order, as a TableRows of their own: its series dictionary holds only
 * the series that occur, fields that no picked row has are left out. Hot loops: 64-bit values are copied as two
 * 32-bit lanes, which keeps every bit and allocates no BigInt.
 *
 * @param picked positions in `rows`, each in [0, rows.rowCount)
 */
export function selectRows(rows: TableRows, picked: Int32Array): TableRows {
  const { series, seriesKeys } = selectSeries(rows, picked);
  return {
    table: rows.table,
    rowCount: picked.length,
    seriesKeys,
    series,
    timesNs: new BigInt64Array(gather64(rows.timesNs.buffer, rows.timesNs.byteOffset, picked)),
    fields: rows.fields.flatMap((field) => {
      const selected = selectField(field, picked);
      return selected === undefined ? [] : [selected];
    }),
  };
}

function selectSeries(rows: TableRows, picked: Int32Array): { series: Int32Array; seriesKeys: StringValues } {
  const localOf = new Int32Array(rows.seriesKeys.offsets.length - 1).fill(-1);
  const series = new Int32Array(picked.length);
  const keys: Uint8Array[] = [];
  for (let i = 0; i < picked.length; i++) {
    const global = rows.series[picked[i] as number] as number;
    let local = localOf[global] as number;
    if (local < 0) {
      local = keys.length;
      localOf[global] = local;
      keys.push(stringBytes(rows.seriesKeys, global));
    }
    series[i] = local;
  }
  return { series, seriesKeys: packStrings(keys) };
}

function selectField(field: FieldColumn, picked: Int32Array): FieldColumn | undefined {
  const validity = field.validity === null ? null : gather8(field.validity, picked);
  const present = validity === null ? picked.length : countOnes(validity);
  if (present === 0) return undefined;
  const base = { name: field.name, validity: present === picked.length ? null : validity };
  switch (field.type) {
    case 'double':
      return {
        ...base,
        type: 'double',
        values: new Float64Array(gather64(field.values.buffer, field.values.byteOffset, picked)),
      };
    case 'bigint':
      return {
        ...base,
        type: 'bigint',
        values: new BigInt64Array(gather64(field.values.buffer, field.values.byteOffset, picked)),
      };
    case 'ubigint':
      return {
        ...base,
        type: 'ubigint',
        values: new BigUint64Array(gather64(field.values.buffer, field.values.byteOffset, picked)),
      };
    case 'boolean':
      return { ...base, type: 'boolean', values: gather8(field.values, picked) };
    case 'string':
      return { ...base, type: 'string', values: gatherStrings(field.values, picked) };
  }
}

function gather64(source: ArrayBufferLike, byteOffset: number, picked: Int32Array): ArrayBuffer {
  const lanes = new Int32Array(source, byteOffset);
  const out = new ArrayBuffer(picked.length * 8);
  const outLanes = new Int32Array(out);
  for (let i = 0; i < picked.length; i++) {
    const at = (picked[i] as number) * 2;
    outLanes[i * 2] = lanes[at] as number;
    outLanes[i * 2 + 1] = lanes[at + 1] as number;
  }
  return out;
}

function gather8(source: Uint8Array, picked: Int32Array): Uint8Array {
  const out = new Uint8Array(picked.length);
  for (let i = 0; i < picked.length; i++) out[i] = source[picked[i] as number] as number;
  return out;
}

function gatherStrings(source: StringValues, picked: Int32Array): StringValues {
  const strings: Uint8Array[] = new Array(picked.length);
  for (let i = 0; i < picked.length; i++) strings[i] = stringBytes(source, picked[i] as number);
  return packStrings(strings);
}

function countOnes(validity: Uint8Array): number {
  let ones = 0;
  for (let i = 0; i < validity.length; i++) ones += validity[i] as number;
  return ones;
}
