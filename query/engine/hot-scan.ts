import { type Data, DataType, RecordBatchReader, type Vector } from 'apache-arrow';
import type { NarrowIntegers } from '../../core/codec/narrow-integers.js';
import { VarveError } from '../../core/std/errors.js';
import type { HotColumnType, HotScanBytes } from './query-engine.js';
import type { BatchColumn, EngineScan, ScanBatch } from './scan.js';
import { TagDictionary } from './tag-dictionary.js';

/** Decodes the Arrow streams of a scan; the batches are views of the bytes where the layouts agree. */
export function decodeHotScan(scan: HotScanBytes): EngineScan {
  const batches = scan.streams.flatMap((pieces) => decodeStream(scan, pieces));
  const rowCount = batches.reduce((sum, batch) => sum + batch.rowCount, 0);
  const columns = [{ name: 'time', type: 'time-ns' } as const, ...scan.columns];
  return { columns, rowCount, open: (wanted) => batchesOf(batches, wanted) };
}

function* batchesOf(batches: readonly ScanBatch[], wanted: readonly number[]): Generator<ScanBatch, void> {
  for (const { rowCount, columns } of batches) {
    yield { rowCount, columns: wanted.map((index) => columns[index]) };
  }
}

function decodeStream(scan: HotScanBytes, pieces: readonly Uint8Array[]): ScanBatch[] {
  if (pieces.length === 0) return [];
  const dictionaries = new Map<Vector, TagDictionary>();
  const batches: ScanBatch[] = [];
  for (const batch of RecordBatchReader.from(pieces as Uint8Array[])) {
    if (batch.numRows === 0) continue;
    const child = (name: string): Data | undefined => {
      const index = batch.schema.fields.findIndex((field) => field.name === name);
      return index < 0 ? undefined : batch.data.children[index];
    };
    const time = child('time');
    if (time === undefined) throw new VarveError('corrupt', 'hot scan: got a stream without time');
    const columns = scan.columns.map(({ name, type }) => {
      const data = child(name);
      return data === undefined
        ? ({ kind: 'absent' } as const)
        : decodeColumn(name, type, data, dictionaries);
    });
    batches.push({ rowCount: batch.numRows, columns: [fixed(time, 8), ...columns] });
  }
  return batches;
}

function decodeColumn(
  name: string,
  type: HotColumnType,
  data: Data,
  dictionaries: Map<Vector, TagDictionary>,
): BatchColumn {
  if (type === 'tag' && DataType.isDictionary(data.type)) return tag(data, dictionaries);
  if (type === 'string' && DataType.isUtf8(data.type)) {
    return {
      kind: 'string',
      offsets: data.valueOffsets as Int32Array,
      bytes: data.values as Uint8Array,
      ...validityOf(data),
    };
  }
  if (type === 'boolean' && DataType.isBool(data.type)) return unpackBooleans(data);
  if (type === 'double' || type === 'bigint' || type === 'ubigint') {
    if (isNarrow(data.values)) return { kind: 'narrow', type, values: data.values, ...validityOf(data) };
    if (DataType.isFloat(data.type) || DataType.isInt(data.type)) return fixed(data, 8);
  }
  throw new VarveError('corrupt', `hot scan: got column "${name}" as ${data.type}; want a ${type}`);
}

function isNarrow(values: unknown): values is NarrowIntegers {
  return values instanceof Int8Array || values instanceof Int16Array || values instanceof Int32Array;
}

function validityOf(data: Data): { readonly validity: Uint8Array | null; readonly validityOffset: number } {
  const hasNulls = data.nullCount > 0 && data.nullBitmap !== undefined && data.nullBitmap.length > 0;
  return { validity: hasNulls ? data.nullBitmap : null, validityOffset: data.offset };
}

function fixed(data: Data, width: 8): BatchColumn {
  const values = data.values as BigInt64Array | Float64Array;
  return {
    kind: 'fixed',
    bytes: new Uint8Array(values.buffer, values.byteOffset, data.length * width),
    width,
    ...validityOf(data),
  };
}

function unpackBooleans(data: Data): BatchColumn {
  const bits = data.values as Uint8Array;
  const bytes = new Uint8Array(data.length);
  for (let row = 0; row < data.length; row++) {
    const bit = data.offset + row;
    bytes[row] = ((bits[bit >> 3] ?? 0) >> (bit & 7)) & 1;
  }
  return { kind: 'fixed', bytes, width: 1, ...validityOf(data) };
}

function tag(data: Data, dictionaries: Map<Vector, TagDictionary>): BatchColumn {
  const vector = data.dictionary as Vector;
  let dictionary = dictionaries.get(vector);
  if (dictionary === undefined) {
    dictionary = TagDictionary.of(Array.from(vector, (value) => String(value)));
    dictionaries.set(vector, dictionary);
  }
  return { kind: 'tag', codes: tagCodes(data, dictionary.nullCode), dictionary };
}

function tagCodes(data: Data, nullCode: number): NarrowIntegers {
  const codes = data.values as NarrowIntegers;
  const { validity, validityOffset } = validityOf(data);
  if (validity === null) return codes;
  // The code of null may need more bytes than the others.
  const withNulls = Int32Array.from(codes.subarray(0, data.length));
  for (let row = 0; row < data.length; row++) {
    const bit = validityOffset + row;
    if (((validity[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) withNulls[row] = nullCode;
  }
  return withNulls;
}
