import { normalizeSequenceRanges, subtractSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';

/** What one owner holds of a shard; nothing where it knows nothing of it. */
export interface OwnerHolding {
  readonly owner: NodeId;
  /** Equal digests, equal batches; empty where nothing is held. */
  readonly digest: string;
  readonly batches: readonly SequenceRange[];
}

/**
 * Whether so many of a shard's owners have answered that together they hold all that a quorum acknowledged: a quorum of
 * all owners, for what was written to them; and of those that are not being filled in the place of a lost one a quorum
 * or, where there are fewer, all: for what was written before.
 */
export function isReadQuorum(
  { owners, filling = [] }: { readonly owners: readonly NodeId[]; readonly filling?: readonly NodeId[] },
  answered: readonly NodeId[],
): boolean {
  const counting = owners.filter((owner) => !filling.includes(owner));
  const wanted = Math.min(quorumOf(owners.length), counting.length);
  const isAnswered = (owner: NodeId): boolean => answered.includes(owner);
  return (
    owners.length > 0 &&
    owners.filter(isAnswered).length >= quorumOf(owners.length) &&
    counting.filter(isAnswered).length >= wanted
  );
}

/** All batches that some of the owners holds. */
export function unionOf(holdings: readonly OwnerHolding[]): readonly SequenceRange[] {
  const [first, ...rest] = holdings;
  if (first === undefined) return [];
  if (rest.every((holding) => holding.digest === first.digest)) return first.batches;
  return normalizeSequenceRanges(holdings.flatMap((holding) => holding.batches));
}

/** The owners that hold all of `wanted`, in the order given. */
export function coveringOwners(
  holdings: readonly OwnerHolding[],
  wanted: readonly SequenceRange[],
): readonly NodeId[] {
  return holdings
    .filter(({ batches }) => batches === wanted || subtractSequenceRanges(wanted, batches).length === 0)
    .map(({ owner }) => owner);
}

/** What an owner is to fetch, and from whom. */
export interface CatchUpOrder {
  readonly source: NodeId;
  readonly ranges: readonly SequenceRange[];
}

/** Divides what `target` lacks of `wanted` among those that hold it; those named first give most. */
export function catchUpOrders(
  target: OwnerHolding,
  wanted: readonly SequenceRange[],
  holdings: readonly OwnerHolding[],
): readonly CatchUpOrder[] {
  const orders: CatchUpOrder[] = [];
  let lacking = subtractSequenceRanges(wanted, target.batches);
  for (const { owner, batches } of holdings) {
    if (lacking.length === 0) break;
    if (owner === target.owner) continue;
    const left = subtractSequenceRanges(lacking, batches);
    const ranges = subtractSequenceRanges(lacking, left);
    if (ranges.length > 0) orders.push({ source: owner, ranges });
    lacking = left;
  }
  return orders;
}
