import { createHash } from 'node:crypto';
import type { Batch, EncodedBatch } from '../model/batch.js';
import type { TableRows } from '../model/columns.js';
import { VarveError } from '../std/errors.js';
import {
  type BatchHeader,
  parseBatchHeader,
  prepareBatchHeader,
  sealBatch,
  writeBatchHeader,
} from './batch-header.js';
import { prepareTable, readTable, writeTable } from './batch-table.js';
import { assertLittleEndian } from './little-endian.js';

assertLittleEndian();

/** Largest encoding; its length stands in 32 bits and offsets of strings in 31. */
export const batchBytesMax = 2 ** 31 - 8;

/**
 * Lays a batch out as bytes: a header, then table by table the columns as they lie in memory, 8-byte aligned,
 * integers and whole doubles narrowed to the width that their column needs. Equal batches give equal bytes.
 *
 * @throws VarveError `too-large` past batchBytesMax
 */
export function encodeBatch(batch: Batch): EncodedBatch {
  const { id, stamp, database, group, shard } = batch;
  const tables = batch.tables.map(prepareTable);
  const header = prepareBatchHeader({ id, stamp, database, group, shard, tableCount: tables.length });
  const total = tables.reduce((sum, table) => sum + table.bytes, header.bytes);
  if (total > batchBytesMax) {
    throw new VarveError(
      'too-large',
      `encoding a batch: got ${total} bytes; want at most ${batchBytesMax}; send smaller requests`,
    );
  }
  const bytes = new Uint8Array(total);
  writeBatchHeader(header, bytes);
  let at = header.bytes;
  for (const table of tables) at = writeTable(table, bytes, at);
  sealBatch(bytes);
  return { id, stamp, database, group, shard, bytes, hash: hashBatch(bytes) };
}

/**
 * Reads the header and checks magic, version, length and checksum, without looking at the columns. `bytes` becomes
 * part of the answer, not a copy.
 *
 * @throws VarveError `corrupt`
 */
export function readBatchHeader(bytes: Uint8Array): EncodedBatch {
  const { header } = parseBatchHeader(bytes);
  const { id, stamp, database, group, shard } = header;
  return { id, stamp, database, group, shard, bytes, hash: hashBatch(bytes) };
}

/**
 * The batch of an encoding, every bound checked. Columns are views of `bytes` where they lie there as they are used
 * and `bytes` begins at a multiple of 8 in its buffer (it is copied once otherwise): do not change it afterwards.
 *
 * @throws VarveError `corrupt`, with the offset, what was got and what was wanted
 */
export function decodeBatch(bytes: Uint8Array): Batch {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const { header, cursor } = parseBatchHeader(aligned);
  const tables: TableRows[] = [];
  for (let index = 0; index < header.tableCount; index++) tables.push(readTable(cursor));
  cursor.end('the last table');
  return batchOf(header, tables);
}

function batchOf(header: BatchHeader, tables: readonly TableRows[]): Batch {
  const { id, stamp, database, group, shard } = header;
  return { id, stamp, database, group, shard, tables };
}

/** First 16 bytes of SHA-256. */
function hashBatch(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest().subarray(0, 16));
}
