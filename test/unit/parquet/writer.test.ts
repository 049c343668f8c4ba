import { parquetMetadata } from 'hyparquet';
import { describe, expect, test } from 'vitest';
import { readParquetRowGroups, readParquetSpecs } from '../../../core/parquet/parquet-reader.js';
import { ParquetWriter } from '../../../core/parquet/parquet-writer.js';
import { fieldSpec, tagSpec, timeSpec, toColumnData, writePlain } from './plain-columns.js';

const everySpec = [
  timeSpec(),
  { kind: 'time-ns', name: 'time_ns', fieldId: 2 },
  tagSpec('host', 3),
  fieldSpec('double', 'd', 4),
  fieldSpec('bigint', 'i', 5),
  fieldSpec('ubigint', 'u', 6),
  fieldSpec('boolean', 'b', 7),
  fieldSpec('string', 's', 8),
] as const;

describe('a Parquet writer', () => {
  test('describes every type as Iceberg wants it, with field ids', () => {
    const values = [0n, 0, 'a', 0, 0n, 0n, true, 'a'] as const;
    const file = writePlain(
      everySpec.map((spec, index) => ({ spec, values: [values[index]!] })),
      1,
      { keyValueMetadata: { 'varve.group': 'w000000000001' } },
    );
    const { schema, num_rows, created_by, key_value_metadata } = parquetMetadata(
      new Uint8Array(file.bytes).buffer,
    );
    expect(schema.slice(1)).toMatchObject([
      {
        name: 'time',
        type: 'INT64',
        repetition_type: 'REQUIRED',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        field_id: 1,
      },
      { name: 'time_ns', type: 'INT32', repetition_type: 'REQUIRED', field_id: 2 },
      {
        name: 'host',
        type: 'BYTE_ARRAY',
        repetition_type: 'OPTIONAL',
        logical_type: { type: 'STRING' },
        field_id: 3,
      },
      { name: 'd', type: 'DOUBLE', repetition_type: 'OPTIONAL', field_id: 4 },
      { name: 'i', type: 'INT64', repetition_type: 'OPTIONAL', field_id: 5 },
      {
        name: 'u',
        type: 'FIXED_LEN_BYTE_ARRAY',
        type_length: 9,
        repetition_type: 'OPTIONAL',
        logical_type: { type: 'DECIMAL', precision: 20, scale: 0 },
        field_id: 6,
      },
      { name: 'b', type: 'BOOLEAN', repetition_type: 'OPTIONAL', field_id: 7 },
      {
        name: 's',
        type: 'BYTE_ARRAY',
        repetition_type: 'OPTIONAL',
        logical_type: { type: 'STRING' },
        field_id: 8,
      },
    ]);
    expect({ num_rows, created_by, key_value_metadata }).toEqual({
      num_rows: 1n,
      created_by: 'varve version 1',
      key_value_metadata: [
        { key: 'varve.tags', value: '["host"]' },
        { key: 'varve.group', value: 'w000000000001' },
      ],
    });
  });

  test('has these bytes for two rows', () => {
    const { bytes, rowGroupOffsets } = writePlain([
      { spec: timeSpec(), values: [1_000_000n, 2_000_000n] },
      { spec: tagSpec('host', 2), values: ['a', null] },
      { spec: fieldSpec('double', 'load', 3), values: [0.5, 0.25] },
    ]);
    expect(rowGroupOffsets).toEqual([4]);
    expect(
      Buffer.from(bytes)
        .toString('hex')
        .match(/.{1,64}/g),
    ).toMatchInlineSnapshot(`
      [
        "504152311500151c152e159a8a98ed0a1c1504150a15061506000028b52ffd20",
        "0e7100008001040280897a80897a000000001504150a151c15f8b5f2960b3c15",
        "021500000028b52ffd2005290000010000006115001512152415b2ccceaf0e1c",
        "1504151015061506000028b52ffd20094900000200000003010102001500152c",
        "153e158d8e83b7011c1504150015061506000028b52ffd2016b1000002000000",
        "0401000000000000e03f000000000000d03f1502194c48057461626c65150600",
        "15042500180474696d65251435021c8c111c2c0000000000150c25021804686f",
        "7374250035041c1c000000150a250218046c6f61645506001604191c193c2600",
        "1c150419150a19180474696d65150c1604164a165c26083c3600280880841e00",
        "00000000180840420f0000000000111100191c1500150a150200000026001c15",
        "0c1935001006191804686f7374150c1604167016940126a60126641c36022801",
        "61180161111100192c1504150015020015001510150200000026001c150a1925",
        "00061918046c6f6164150c1604165a166c26f8013c36002808000000000000e0",
        "3f1808000000000000d03f111100191c15001500150200000016940216042608",
        "16dc0200191c180a76617276652e7461677318085b22686f7374225d00180f76",
        "617276652076657273696f6e2031193c1c00001c00001c000000480100005041",
        "5231",
      ]
    `);
  });

  test('keeps no array that it was given', () => {
    const columns = [timeSpec(), fieldSpec('string', 's', 2)].map((spec) => ({
      spec,
      data: toColumnData(spec, spec.kind === 'time' ? [1n] : ['text']),
    }));
    const write = (overwrite: boolean): Uint8Array => {
      const writer = new ParquetWriter(columns.map(({ spec }) => spec));
      const data = structuredClone(columns.map((column) => column.data));
      writer.writeRowGroup(1, data);
      if (overwrite) {
        if (data[0]?.kind === 'time') data[0].micros.fill(9n);
        if (data[1]?.kind === 'field' && data[1].type === 'string') data[1].values.bytes.fill(0x7a);
      }
      return writer.finish().bytes;
    };
    expect(write(true)).toEqual(write(false));
  });

  test('refuses columns that do not fit its specs', () => {
    const writer = new ParquetWriter([timeSpec(), fieldSpec('double')]);
    const time = toColumnData(timeSpec(), [1n, 2n]);
    const double = toColumnData(fieldSpec('double'), [1, 2]);
    const bigint = toColumnData(fieldSpec('bigint'), [1n, 2n]);
    const short = toColumnData(fieldSpec('double'), [1]);
    expect(() => writer.writeRowGroup(2, [time])).toThrow('got 1 columns; want 2');
    expect(() => writer.writeRowGroup(2, [time, bigint])).toThrow(
      'column double: got field bigint; want field double',
    );
    expect(() => writer.writeRowGroup(2, [double, time])).toThrow('column time: got field double; want time');
    expect(() => writer.writeRowGroup(2, [time, short])).toThrow('column double: got 1 rows; want 2');
    expect(() => writer.writeRowGroup(0, [])).toThrow('got a row group of 0 rows');
    expect(() => new ParquetWriter([timeSpec(), timeSpec()])).toThrow('same name');
    expect(() => new ParquetWriter([])).toThrow('needs a column');
    expect(() => new ParquetWriter([timeSpec()], { keyValueMetadata: { 'varve.tags': '[]' } })).toThrow(
      'varve.tags',
    );
  });

  test('refuses values that no column has', () => {
    const nanos = { kind: 'time-ns', name: 'time_ns', fieldId: 2 } as const;
    const nanosWriter = new ParquetWriter([nanos]);
    expect(() => nanosWriter.writeRowGroup(1, [toColumnData(nanos, [1000])])).toThrow('got time_ns 1000');
    const tagWriter = new ParquetWriter([tagSpec()]);
    const tags = {
      codes: Int32Array.of(1),
      dictionary: { offsets: Int32Array.of(0, 1), bytes: Uint8Array.of(97) },
    };
    expect(() => tagWriter.writeRowGroup(1, [{ kind: 'tag', tags }])).toThrow('got tag code 1; want below 1');
  });

  test('makes a file without rows', () => {
    const { bytes, rowCount, rowGroupOffsets } = writePlain([{ spec: timeSpec(), values: [] }]);
    expect({ rowCount, rowGroupOffsets }).toEqual({ rowCount: 0, rowGroupOffsets: [] });
    expect(Array.from(readParquetRowGroups(bytes))).toEqual([]);
    expect(readParquetSpecs(bytes)).toEqual([timeSpec()]);
  });

  test('writes nothing more once finished', () => {
    const writer = new ParquetWriter([timeSpec()]);
    writer.writeRowGroup(1, [toColumnData(timeSpec(), [1n])]);
    writer.finish();
    expect(() => writer.finish()).toThrow('finished');
    expect(() => writer.writeRowGroup(1, [toColumnData(timeSpec(), [1n])])).toThrow('finished');
  });

  test('cuts pages at the row limit', () => {
    const { bytes } = writePlain([{ spec: timeSpec(), values: [1n, 2n, 3n, 4n, 5n] }], 5, { pageRowsMax: 2 });
    const chunk = parquetMetadata(new Uint8Array(bytes).buffer).row_groups[0]?.columns[0]?.meta_data;
    expect(chunk?.encoding_stats).toEqual([
      { page_type: 'DATA_PAGE', encoding: 'DELTA_BINARY_PACKED', count: 3 },
    ]);
  });
});
