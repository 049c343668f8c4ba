import {
  countSequences,
  normalizeSequenceRanges,
  subtractSequenceRanges,
} from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { GroupReport } from '../../core/ports/peer.js';
import { errorMessage } from '../../core/std/errors.js';
import { type GroupSurvey, note, type PeerOf } from './group-survey.js';

/** An owner that lacks batches of a shard, and a node that holds them. */
export interface CatchUpOrder {
  readonly shard: number;
  readonly owner: NodeId;
  readonly source: NodeId;
  readonly ranges: readonly SequenceRange[];
}

/** Sources may fail one after the other; more tries than that wait for the next round. */
const roundsMax = 4;

/** All batches of a shard that some node reported, hints included. */
export function shardUnion(shard: number, reports: Iterable<GroupReport>): SequenceRange[] {
  const ranges: SequenceRange[] = [];
  for (const report of reports) {
    for (const held of [...report.shards, ...report.hinted]) {
      if (held.shard === shard) ranges.push(...held.batches);
    }
  }
  return normalizeSequenceRanges(ranges);
}

/** What a node holds of a shard as an owner. */
export function heldBy(report: GroupReport | undefined, shard: number): readonly SequenceRange[] {
  return report?.shards.find((held) => held.shard === shard)?.batches ?? [];
}

/** What each owner that was reached lacks, and from whom it can come. `failed` names the sources that are no use. Pure. */
export function planCatchUps(
  group: ShardGroup,
  reports: ReadonlyMap<NodeId, GroupReport>,
  failed: ReadonlySet<string>,
): CatchUpOrder[] {
  const orders: CatchUpOrder[] = [];
  for (const [shard, { owners }] of group.shards.entries()) {
    const union = shardUnion(shard, reports.values());
    for (const owner of owners) {
      const report = reports.get(owner);
      if (report === undefined) continue;
      let lacking = subtractSequenceRanges(union, heldBy(report, shard));
      for (const [source, theirs] of reports) {
        if (lacking.length === 0) break;
        if (failed.has(wayOf({ shard, owner, source }))) continue;
        // Of itself a node fetches what it keeps as a hint for itself.
        const offered = source === owner ? hintedBy(theirs, shard) : shardUnion(shard, [theirs]);
        const left = subtractSequenceRanges(lacking, offered);
        const ranges = subtractSequenceRanges(lacking, left);
        if (ranges.length > 0) orders.push({ shard, owner, source, ranges });
        lacking = left;
      }
    }
  }
  return orders;
}

/** What came of the orders, beside the survey that was brought up to date. */
export interface CatchUpOutcome {
  readonly fetched: number;
  /** What went wrong, in words. */
  readonly failures: readonly string[];
}

/** Has owners fetch what they lack until none lacks anything that can be had, and asks them anew what they hold. */
export async function bringUpToDate(
  databaseId: string,
  group: ShardGroup,
  survey: GroupSurvey,
  peerOf: PeerOf,
  signal?: AbortSignal,
): Promise<CatchUpOutcome> {
  const failed = new Set<string>();
  const failures: string[] = [];
  let fetched = 0;
  for (let round = 0; round < roundsMax; round++) {
    const orders = planCatchUps(group, survey.reports, failed);
    if (orders.length === 0) break;
    const owners = [...new Set(orders.map(({ owner }) => owner))];
    await Promise.all(
      owners.map(async (owner) => {
        for (const order of orders.filter((each) => each.owner === owner)) {
          try {
            const { shard, source, ranges } = order;
            const address = { database: databaseId, group: group.id, shard };
            const result = await peerOf(owner).catchUp(address, source, ranges, signal);
            fetched += result.fetched;
            // A source that gives less than it said is asked no second time for it.
            if (result.fetched < countSequences(ranges)) failed.add(wayOf(order));
          } catch (error) {
            failed.add(wayOf(order));
            failures.push(
              `owner ${owner} could not fetch what it lacks of shard ${order.shard} from ${order.source}: ${errorMessage(error)}`,
            );
          }
        }
        await note(survey, owner, () => peerOf(owner).reportGroup(databaseId, group.id, signal));
      }),
    );
    signal?.throwIfAborted();
  }
  return { fetched, failures };
}

function hintedBy(report: GroupReport, shard: number): SequenceRange[] {
  return normalizeSequenceRanges(
    report.hinted.filter((held) => held.shard === shard).flatMap((held) => held.batches),
  );
}

function wayOf({ shard, owner, source }: Omit<CatchUpOrder, 'ranges'>): string {
  return `${shard} ${owner} ${source}`;
}
