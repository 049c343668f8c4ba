import { ChunkPages } from './chunk-pages.js';
import { lanesOf } from './lanes.js';
import type { ChunkPlace } from './metadata-reader.js';
import { readBooleans, readNanos, readNumbers } from './number-reader.js';
import { readStrings, readTags } from './string-reader.js';
import type { ParquetColumnData, ParquetColumnSpec } from './types.js';

/**
 * Reads a column chunk, or a part of one: `chunk` is where its dictionary page, if it has one, and the data pages of
 * `rowCount` rows lie in `bytes`. Every page is checked against its CRC-32.
 */
export function readColumn(
  bytes: Uint8Array,
  chunk: ChunkPlace,
  spec: ParquetColumnSpec,
  rowCount: number,
): ParquetColumnData {
  const pages = new ChunkPages(bytes, chunk, spec, rowCount);
  if (spec.kind === 'time') {
    const micros = new BigInt64Array(rowCount);
    readNumbers(pages, 'little-endian', lanesOf(micros));
    return { kind: 'time', micros };
  }
  if (spec.kind === 'time-ns') {
    const nanos = new Int32Array(rowCount);
    readNanos(pages, nanos);
    return { kind: 'time-ns', nanos };
  }
  if (spec.kind === 'tag') return { kind: 'tag', tags: readTags(pages, rowCount) };
  switch (spec.type) {
    case 'double': {
      const values = new Float64Array(rowCount);
      readNumbers(pages, 'little-endian', lanesOf(values));
      return { kind: 'field', type: 'double', values, validity: validityOf(pages, rowCount) };
    }
    case 'bigint': {
      const values = new BigInt64Array(rowCount);
      readNumbers(pages, 'little-endian', lanesOf(values));
      return { kind: 'field', type: 'bigint', values, validity: validityOf(pages, rowCount) };
    }
    case 'ubigint': {
      const values = new BigUint64Array(rowCount);
      readNumbers(pages, 'decimal', lanesOf(values));
      return { kind: 'field', type: 'ubigint', values, validity: validityOf(pages, rowCount) };
    }
    case 'boolean': {
      const values = new Uint8Array(rowCount);
      readBooleans(pages, values);
      return { kind: 'field', type: 'boolean', values, validity: validityOf(pages, rowCount) };
    }
    case 'string': {
      const values = readStrings(pages, rowCount);
      return { kind: 'field', type: 'string', values, validity: validityOf(pages, rowCount) };
    }
  }
}

/** Null when no row turned out to be absent. */
function validityOf(pages: ChunkPages, rowCount: number): Uint8Array | null {
  return pages.present === rowCount ? null : pages.validity;
}
