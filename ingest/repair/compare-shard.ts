import { normalizeSequenceRanges, subtractSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { ShardHoldings } from '../../core/ports/peer.js';

/** Where this node and the other owners of a shard that answered differ. */
export interface ShardDifference {
  /** Batches that some other owner holds and this node does not. */
  readonly lacking: readonly SequenceRange[];
  /** Owners that hold batches of the same ids, and other bytes of some. */
  readonly conflicting: readonly NodeId[];
}

/** Something to be fetched from one owner. */
export interface Fetch {
  readonly source: NodeId;
  readonly ranges: readonly SequenceRange[];
}

/**
 * Compares what this node holds of a shard with what others hold: roots first, and only where they differ the ranges.
 * Undefined when there is nothing for this node to mend; what others lack they fetch themselves. Pure.
 */
export function compareShard(
  own: ShardHoldings | undefined,
  others: ReadonlyMap<NodeId, ShardHoldings>,
): ShardDifference | undefined {
  const held = own?.batches ?? [];
  const lacking: SequenceRange[] = [];
  const conflicting: NodeId[] = [];
  for (const [node, theirs] of others) {
    if (theirs.digest === own?.digest) continue;
    const more = subtractSequenceRanges(theirs.batches, held);
    lacking.push(...more);
    const less = subtractSequenceRanges(held, theirs.batches);
    if (more.length === 0 && less.length === 0) conflicting.push(node);
  }
  if (lacking.length === 0 && conflicting.length === 0) return undefined;
  return { lacking: normalizeSequenceRanges(lacking), conflicting };
}

/** From whom each of the batches is to be fetched, every batch once. Pure. */
export function planFetches(
  wanted: readonly SequenceRange[],
  others: ReadonlyMap<NodeId, ShardHoldings>,
): Fetch[] {
  const fetches: Fetch[] = [];
  let left: readonly SequenceRange[] = wanted;
  for (const [source, theirs] of others) {
    const without = subtractSequenceRanges(left, theirs.batches);
    const ranges = subtractSequenceRanges(left, without);
    if (ranges.length > 0) fetches.push({ source, ranges });
    left = without;
    if (left.length === 0) break;
  }
  return fetches;
}
