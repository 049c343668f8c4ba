import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreeOnContent } from '../../../compactor/seal/agree-on-content.js';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { coversSequence, normalizeSequenceRanges } from '../../../core/catalog/sequence-ranges.js';
import type { NodeRecord, SequenceRange, ShardGroup } from '../../../core/catalog/types.js';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import { quorumOf } from '../../../core/model/quorum.js';
import type { GroupReport, Peer, ShardHoldings } from '../../../core/ports/peer.js';
import { VarveError } from '../../../core/std/errors.js';

const startMs = 1_700_000_000_000;
const patienceMs = 120_000;
const origin = 'n1' as NodeId;
const nodeOf = (index: number): NodeId => `n${index + 1}` as NodeId;

/** A node that is nothing but two sets of numbers. */
class PlainNode {
  readonly held = new Set<number>();
  readonly hinted = new Set<number>();
  isReachable = true;

  report(group: GroupId): GroupReport {
    const shards = holdings(this.held);
    return {
      group,
      closed: true,
      digest: shards[0]?.digest ?? '',
      batches: shards[0]?.batches ?? [],
      bytes: 0,
      chunks: [],
      shards,
      hinted: holdings(this.hinted),
    };
  }
}

function holdings(numbers: ReadonlySet<number>): ShardHoldings[] {
  if (numbers.size === 0) return [];
  const batches = normalizeSequenceRanges(
    [...numbers].map((number) => ({ origin, epoch: 1, first: number, last: number })),
  );
  const digest = createHash('sha256').update(JSON.stringify(batches)).digest('hex');
  return [{ shard: 0, digest, batches }];
}

function peersOf(nodes: ReadonlyMap<NodeId, PlainNode>, group: GroupId): (node: NodeId) => Peer {
  const reach = (id: NodeId): PlainNode => {
    const node = nodes.get(id);
    if (node?.isReachable === true) return node;
    throw new VarveError('unavailable', `node ${id} cannot be reached`);
  };
  return (id) =>
    ({
      node: id,
      closeGroup: async () => reach(id).report(group),
      reportGroup: async () => reach(id).report(group),
      catchUp: async (_address: unknown, source: NodeId, ranges: readonly SequenceRange[]) => {
        const [to, from] = [reach(id), reach(source)];
        let fetched = 0;
        for (const sequence of [...from.held, ...from.hinted]) {
          if (!coversSequence(ranges, { origin, epoch: 1, sequence }) || to.held.has(sequence)) continue;
          to.held.add(sequence);
          fetched += 1;
        }
        return { fetched };
      },
    }) as Partial<Peer> as Peer;
}

const worlds = fc.record({
  owners: fc.integer({ min: 1, max: 5 }),
  /** By batch: owners that hold it, and whether another node keeps it as a hint. */
  batches: fc.array(fc.record({ holders: fc.nat(31), isHinted: fc.boolean() }), { maxLength: 12 }),
  reachable: fc.nat(63),
  reachableLater: fc.nat(63),
  lost: fc.nat(31),
  patienceIsOver: fc.boolean(),
});

const has = (mask: number, bit: number): boolean => ((mask >>> bit) & 1) === 1;

describe('agreement on random holdings', () => {
  it('seals whatever a quorum holds and all that was seen, leaves owners alike, and stays what it was', async () => {
    const seen = { agreed: 0, agreedWithout: 0, waiting: 0 };
    await fc.assert(
      fc.asyncProperty(worlds, async (drawn) => {
        const owners = Array.from({ length: drawn.owners }, (_, index) => nodeOf(index));
        const hinter = 'h1' as NodeId;
        const nodes = new Map([...owners, hinter].map((id) => [id, new PlainNode()]));
        const isLost = (index: number): boolean => has(drawn.lost, index) && index % 2 === 1;
        drawn.batches.forEach(({ holders, isHinted }, number) => {
          owners.forEach((id, index) => {
            if (has(holders, index)) nodes.get(id)?.held.add(number + 1);
          });
          if (isHinted) nodes.get(hinter)?.hinted.add(number + 1);
        });
        const cut = (mask: number): void => {
          [...nodes.values()].forEach((node, index) => {
            node.isReachable = has(mask, index) && !(index < owners.length && isLost(index));
          });
        };
        const before = new Map([...nodes].map(([id, { held }]) => [id, new Set(held)]));
        cut(drawn.reachable);
        const group: ShardGroup = {
          id: 'w000000000001' as GroupId,
          kind: 'window',
          startNs: 0n,
          endNs: 1n,
          createdMs: 0,
          closeAfterMs: 0,
          state: 'closing',
          closeSequence: 1,
          closedMs: startMs,
          shards: [{ owners }],
          sealedBatches: null,
          sealedMs: null,
          released: [],
        };
        const records = [...nodes.keys()].map(
          (node, index): NodeRecord => ({
            node,
            epoch: 1,
            address: null,
            heartbeatMs: startMs + patienceMs,
            state: index < owners.length && isLost(index) ? 'lost' : 'live',
          }),
        );
        const tools = {
          peers: peersOf(nodes, group.id),
          clock: new SimulatedClock({ startMs: startMs + (drawn.patienceIsOver ? patienceMs : 1000) }),
          patienceMs,
          nodeSilenceMs: 15_000,
        };
        const present = owners.filter((_, index) => !isLost(index));
        const reached = present.filter((id) => nodes.get(id)?.isReachable);
        const isWhole = reached.length === present.length && nodes.get(hinter)?.isReachable === true;
        const result = await agreeOnContent('db', group, records, tools);

        const canSeal =
          reached.length >= Math.min(quorumOf(owners.length), present.length) &&
          (isWhole || drawn.patienceIsOver);
        const nothingSeen = [...nodes.values()].every(
          ({ isReachable, held, hinted }) => !isReachable || held.size + hinted.size === 0,
        );
        expect(result.kind).toBe(canSeal && (reached.length > 0 || nothingSeen) ? 'agreed' : 'waiting');
        if (result.kind === 'waiting') {
          seen.waiting += 1;
          expect(result.reason).not.toBe('');
          return;
        }
        seen[isWhole ? 'agreed' : 'agreedWithout'] += 1;
        const inSeal = (sequence: number): boolean =>
          coversSequence(result.batches, { origin, epoch: 1, sequence });
        for (const sequence of drawn.batches.keys()) {
          const holders = owners.filter((id) => before.get(id)?.has(sequence + 1));
          const lostCopies = holders.filter((id) => !present.includes(id)).length;
          // A quorum acknowledged it, and not so many of them are lost that nobody is left to tell.
          if (holders.length >= quorumOf(owners.length) && holders.length > lostCopies) {
            expect(inSeal(sequence + 1)).toBe(true);
          }
          if (holders.some((id) => nodes.get(id)?.isReachable)) expect(inSeal(sequence + 1)).toBe(true);
        }
        for (const id of reached) {
          expect(nodes.get(id)?.report(group.id).batches, id).toEqual(result.batches);
        }
        const missing = result.exceptions.flatMap((exception) => exception.missing);
        expect(new Set(missing)).toEqual(
          new Set([...nodes.keys()].filter((id) => nodes.get(id)?.isReachable !== true)),
        );

        cut(drawn.reachableLater);
        const agreed = { ...group, sealedBatches: result.batches };
        const again = await agreeOnContent('db', agreed, records, tools);
        if (again.kind === 'agreed') expect(again.batches).toEqual(result.batches);
      }),
      { numRuns: 2000 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(50);
  });
});
