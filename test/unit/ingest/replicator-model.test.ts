import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { consistencyLevels } from '../../../core/catalog/database-settings.js';
import { encodeBatch } from '../../../core/codec/batch-codec.js';
import type { Batch, GroupId, NodeId } from '../../../core/model/batch.js';
import type { AppendResult, Peer } from '../../../core/ports/peer.js';
import { type ErrorKind, VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { requiredCopies } from '../../../ingest/replicate/levels.js';
import { Replicator } from '../../../ingest/replicate/replicator.js';
import { rowsOf } from '../../support/rows.js';

const seeds = 60;
const writesPerSeed = 40;
const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'] as NodeId[];

/** Nodes and a hint store that do what they like, at any time; what they really hold is written down. */
function makeStage(seed: number) {
  const clock = new SimulatedClock();
  const random = new SeededRandom(seed);
  const held = new Map<NodeId, Set<number>>(nodes.map((node) => [node, new Set()]));
  const hinted = new Map<NodeId, Set<number>>(nodes.map((node) => [node, new Set()]));
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random.next() * values.length)] as Value;
  const failures: ErrorKind[] = ['unavailable', 'exhausted', 'too-large', 'corrupt', 'internal', 'busy'];

  const append = async (node: NodeId, sequence: number): Promise<AppendResult> => {
    const isSick = random.next() < 0.4;
    await clock.sleep(isSick ? random.next() * 20_000 : random.next() * 50);
    const fate = random.next();
    if (isSick && fate < 0.3) throw new VarveError(pick(failures), `${node} fails`);
    if (fate > 0.97) return { kind: 'closed' };
    held.get(node)?.add(sequence);
    // The answer is lost: it has the batch, and nobody knows.
    if (isSick && fate < 0.6) throw new VarveError('unavailable', `${node} broke off`);
    return { kind: 'applied' };
  };
  const replicator = new Replicator({
    local: { node: 'n1' as NodeId, appendBatch: (batch) => append('n1' as NodeId, batch.id.sequence) },
    peerOf: (node) => ({ append: (bytes: Uint8Array) => append(node, sequenceOf(bytes)) }) as unknown as Peer,
    ...{ clock, random, logger: silentLogger },
    hints: {
      keep: async (owner, batch) => {
        await clock.sleep(random.next() * 100);
        if (random.next() < 0.1) throw new VarveError('exhausted', 'the hints take all they may');
        hinted.get(owner)?.add(batch.id.sequence);
      },
    },
    limits: { laneBytesMax: 2000, backgroundBytesMax: 5000 },
  });
  return { clock, random, held, hinted, pick, replicator };
}

function sequenceOf(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(32, true));
}

function batchOf(sequence: number): Batch {
  return {
    id: { origin: 'n1' as NodeId, epoch: 1, sequence },
    stamp: BigInt(sequence),
    database: 'db',
    group: 'w000000000001' as GroupId,
    shard: 0,
    tables: [rowsOf('cpu', [{ tags: {}, timeNs: 1n, fields: { x: sequence } }])],
  };
}

it.each(Array.from({ length: seeds }, (_, index) => index + 1))(
  'answers by what owners and hints really hold, names every owner when the level is not met, and lets go of all (seed %i)',
  async (seed) => {
    const { clock, random, held, hinted, pick, replicator } = makeStage(seed);
    const checks: Promise<void>[] = [];
    const unfinished = new Set<number>();
    for (let sequence = 1; sequence <= writesPerSeed; sequence++) {
      const level = pick(consistencyLevels);
      const shuffled = nodes.toSorted(() => random.next() - 0.5);
      const owners = shuffled.slice(0, 2 + Math.floor(random.next() * 4));
      // Sometimes the group was made while too few nodes lived.
      const replication = owners.length + Math.floor(random.next() * 2);
      const batch = batchOf(sequence);
      unfinished.add(sequence);
      const answer = replicator.replicate(batch, encodeBatch(batch), { owners, replication }, level);
      checks.push(
        answer.then((result) => {
          unfinished.delete(sequence);
          if (result.kind === 'closed') return;
          const { acknowledged, hinted: kept, failed, required } = result.outcome;
          const named = [...acknowledged, ...kept, ...failed.map(({ node }) => node)];
          expect(new Set(named).size).toBe(named.length);
          expect(required).toBe(requiredCopies(level, replication));
          for (const node of acknowledged) expect(held.get(node)?.has(sequence)).toBe(true);
          for (const node of kept) expect(hinted.get(node)?.has(sequence)).toBe(true);
          for (const node of named) expect(owners).toContain(node);
          const copies = acknowledged.length + (level === 'any' ? kept.length : 0);
          if (copies >= required) return;
          expect(named.toSorted()).toEqual(owners.toSorted());
        }),
      );
      await clock.advance(random.next() * 300);
    }
    // No write waits longer than the time-out, and a hint after it.
    await clock.advance(10_200);
    expect([...unfinished]).toEqual([]);
    await clock.advance(30_000);
    await Promise.all(checks);
    const stopped = replicator.stop(1000);
    await clock.advance(2000);
    await stopped;
    for (const { inFlightBytes, inFlightBatches } of replicator.lanes())
      expect([inFlightBytes, inFlightBatches]).toEqual([0, 0]);
    expect(clock.sleeperCount).toBe(0);
  },
);
