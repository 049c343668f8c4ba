import { readBatchHeader } from '../../core/codec/batch-codec.js';
import type { ShardAddress } from '../../core/model/batch.js';
import { compareBytes } from '../../core/model/series-key.js';
import type { BatchLeaf, Peer } from '../../core/ports/peer.js';
import { isVarveError } from '../../core/std/errors.js';
import type { Wal } from '../wal/wal.js';

/** What came of reading a shard's batches back. */
export interface MendedDamage {
  readonly damaged: number;
  /** Of them, those that another owner had as they were written. */
  readonly replaced: number;
}

/**
 * Reads back every batch that the log holds of a shard, one at a time. One whose bytes do not give its hash any more is
 * taken from another owner, if that has it with the same hash, and appended anew: the log reads the newer copy.
 */
export async function mendDamage(
  wal: Wal,
  address: ShardAddress,
  sources: readonly Peer[],
  signal?: AbortSignal,
): Promise<MendedDamage> {
  let damaged = 0;
  let replaced = 0;
  for (const leaf of wal.list(address)) {
    signal?.throwIfAborted();
    if (await isWhole(wal, address, leaf)) continue;
    damaged += 1;
    if (await replaceFrom(sources, wal, address, leaf, signal)) replaced += 1;
  }
  return { damaged, replaced };
}

async function isWhole(wal: Wal, address: ShardAddress, { id }: BatchLeaf): Promise<boolean> {
  try {
    // The log itself compares the bytes with the hash.
    for await (const _ of wal.fetch(address, [id]));
    return true;
  } catch (error) {
    if (isVarveError(error, 'corrupt')) return false;
    throw error;
  }
}

async function replaceFrom(
  sources: readonly Peer[],
  wal: Wal,
  address: ShardAddress,
  { id, hash }: BatchLeaf,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (const source of sources) {
    try {
      for await (const bytes of source.fetchBatches(address, [id], signal)) {
        const batch = readBatchHeader(bytes);
        if (compareBytes(batch.hash, hash) !== 0) continue;
        await wal.append(batch);
        return true;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!isVarveError(error, 'unavailable', 'corrupt', 'not-found')) throw error;
    }
  }
  return false;
}
