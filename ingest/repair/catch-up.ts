import { coversSequence, sliceSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';
import { readBatchHeader } from '../../core/codec/batch-codec.js';
import { batchIdText, type EncodedBatch, type ShardAddress } from '../../core/model/batch.js';
import type { Peer } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';

/** Batches asked of the source at a time: their ids make a request of some tens of kilobytes. */
const idsPerFetch = 512;
/** Bytes of batches on the way to the disk at a time: enough to share syncs, few enough for any memory. */
const bytesInFlightMax = 8 * 2 ** 20;

export interface CatchUpOptions {
  readonly address: ShardAddress;
  readonly source: Peer;
  /** What is lacking here. */
  readonly ranges: readonly SequenceRange[];
  /** Makes one batch durable here; true when it was not here before. */
  readonly keep: (batch: EncodedBatch) => Promise<boolean>;
  readonly signal?: AbortSignal | undefined;
}

/** How many batches were new, and how many bytes came. */
export interface CaughtUp {
  readonly fetched: number;
  readonly bytes: number;
}

/**
 * Fetches the batches of the ranges that the source holds and keeps them. Batches
 * that came before a failure stay. `corrupt` when the source gives what was not asked for.
 */
export async function catchUpFrom(options: CatchUpOptions): Promise<CaughtUp> {
  const { address, source, ranges, signal } = options;
  let fetched = 0;
  let bytesCome = 0;
  for (const slice of sliceSequenceRanges(ranges, idsPerFetch)) {
    signal?.throwIfAborted();
    const inFlight = new Set<Promise<void>>();
    let bytesInFlight = 0;
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const bytes of source.fetchBatches(address, slice, signal)) {
        if (failure !== undefined) break;
        const batch = readBatchHeader(bytes);
        checkAskedFor(batch, options);
        bytesInFlight += bytes.length;
        bytesCome += bytes.length;
        const kept: Promise<void> = options
          .keep(batch)
          .then((isNew) => {
            fetched += isNew ? 1 : 0;
          })
          .catch((error: unknown) => {
            failure ??= { error };
          })
          .finally(() => {
            bytesInFlight -= bytes.length;
            inFlight.delete(kept);
          });
        inFlight.add(kept);
        while (bytesInFlight > bytesInFlightMax) await Promise.race(inFlight);
      }
    } finally {
      await Promise.all(inFlight);
    }
    if (failure !== undefined) throw failure.error;
  }
  return { fetched, bytes: bytesCome };
}

function checkAskedFor(batch: EncodedBatch, { address, source, ranges }: CatchUpOptions): void {
  const { database, group, shard } = address;
  const isOfShard = batch.database === database && batch.group === group && batch.shard === shard;
  if (isOfShard && coversSequence(ranges, batch.id)) return;
  throw new VarveError(
    'corrupt',
    `fetching batches of shard ${shard} of group ${group} from node ${source.node}: got batch ${batchIdText(batch.id)} of shard ${batch.shard} of group ${batch.group}; want one of those asked for`,
  );
}
