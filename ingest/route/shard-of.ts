import { stringBytes, type TableRows } from '../../core/model/columns.js';

const encoder = new TextEncoder();

/**
 * The shard of a series among `shards`: FNV-1a over the table's name and the canonical series key, finished by an
 * avalanche so that the low bits are even. Part of what is on disk: a series must stay in its shard for as long as
 * its group is open, whichever node routes it.
 */
export function shardOf(table: string, seriesKey: Uint8Array, shards: number): number {
  let hash = fnv1a(0x811c9dc5, encoder.encode(table));
  hash = fnv1a(Math.imul(hash, 0x01000193), seriesKey);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) % shards;
}

/** The shard of every row, or one number when it is the same for all. */
export function shardRows(rows: TableRows, shards: number): number | Int32Array {
  if (shards === 1) return 0;
  const seriesCount = rows.seriesKeys.offsets.length - 1;
  const shardOfSeries = new Int32Array(seriesCount);
  let uniform = true;
  for (let series = 0; series < seriesCount; series++) {
    shardOfSeries[series] = shardOf(rows.table, stringBytes(rows.seriesKeys, series), shards);
    uniform &&= shardOfSeries[series] === shardOfSeries[0];
  }
  if (uniform) return shardOfSeries[0] ?? 0;
  const assigned = new Int32Array(rows.rowCount);
  for (let row = 0; row < rows.rowCount; row++) {
    assigned[row] = shardOfSeries[rows.series[row] as number] as number;
  }
  return assigned;
}

function fnv1a(seed: number, bytes: Uint8Array): number {
  let hash = seed;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash;
}
