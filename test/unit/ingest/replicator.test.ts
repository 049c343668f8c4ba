import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import type { ConsistencyLevel } from '../../../core/catalog/types.js';
import { encodeBatch } from '../../../core/codec/batch-codec.js';
import type { Batch, EncodedBatch, GroupId, NodeId } from '../../../core/model/batch.js';
import type { AppendResult, Peer } from '../../../core/ports/peer.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { isLevelMet } from '../../../ingest/replicate/levels.js';
import {
  type ReplicateResult,
  type ReplicationLimits,
  Replicator,
} from '../../../ingest/replicate/replicator.js';
import { rowsOf } from '../../support/rows.js';

const [n1, n2, n3] = ['n1', 'n2', 'n3'] as NodeId[] as [NodeId, NodeId, NodeId];
const owners = [n1, n2, n3];
const applied: AppendResult = { kind: 'applied' };
const away = (node: NodeId): VarveError => new VarveError('unavailable', `${node} is away`);

/** What an owner makes of a batch; `never` stands for one that says nothing. */
type Behaviour = AppendResult | VarveError | 'never' | Promise<AppendResult>;

interface Stage {
  readonly clock: SimulatedClock;
  readonly replicator: Replicator;
  /** May be changed at any time. */
  readonly behaviour: Map<NodeId, Behaviour>;
  /** Batches that got to each owner. */
  readonly calls: Map<NodeId, number>;
  /** Sequences of the batches hinted, by owner. */
  readonly hints: Map<NodeId, number[]>;
  readonly counted: string[];
  /** Fields of warnings. */
  readonly warned: object[];
  hintFailure: VarveError | undefined;
  /** `replication` is the number of owners when it is left out. */
  send(level: ConsistencyLevel, to?: readonly NodeId[], replication?: number): Promise<ReplicateResult>;
}

function makeStage(options: { hints?: boolean; limits?: Partial<ReplicationLimits> } = {}): Stage {
  const clock = new SimulatedClock();
  const behaviour = new Map<NodeId, Behaviour>();
  const calls = new Map<NodeId, number>();
  const hints = new Map<NodeId, number[]>();
  const counted: string[] = [];
  const warned: object[] = [];
  const append = async (node: NodeId): Promise<AppendResult> => {
    calls.set(node, (calls.get(node) ?? 0) + 1);
    const does = behaviour.get(node) ?? applied;
    if (does === 'never') return new Promise(() => {});
    if (does instanceof VarveError) throw does;
    return does;
  };
  const replicator = new Replicator({
    local: { node: n1, appendBatch: () => append(n1) },
    peerOf: (node) =>
      node === n2 || node === n3 ? ({ append: () => append(node) } as unknown as Peer) : undefined,
    clock,
    random: new SeededRandom(1),
    logger: { ...silentLogger, warn: (fields) => void warned.push(fields) },
    metrics: {
      sent: (node) => counted.push(`sent ${node}`),
      sendFailed: (node, reason) => counted.push(`failed ${node} ${reason}`),
      hinted: (node) => counted.push(`hinted ${node}`),
      hintFailed: (node) => counted.push(`hint failed ${node}`),
      breaker: (node, state) => counted.push(`${state} ${node}`),
      answered: (level, answer) => counted.push(`${level} ${answer}`),
      stampTooFarAhead: () => {},
    },
    ...(options.hints === false
      ? {}
      : {
          hints: {
            keep: async (owner: NodeId, batch: EncodedBatch) => {
              if (stage.hintFailure !== undefined) throw stage.hintFailure;
              hints.set(owner, [...(hints.get(owner) ?? []), batch.id.sequence]);
            },
          },
        }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  let sequence = 0;
  const stage: Stage = {
    ...{ clock, replicator, behaviour, calls, hints, counted, warned },
    hintFailure: undefined,
    send: (level, to = owners, replication = to.length) => {
      sequence += 1;
      const batch: Batch = {
        id: { origin: n1, epoch: 1, sequence },
        stamp: BigInt(sequence),
        database: 'db',
        group: 'w000000000001' as GroupId,
        shard: 4,
        tables: [rowsOf('cpu', [{ tags: {}, timeNs: 1n, fields: { x: sequence } }])],
      };
      return replicator.replicate(batch, encodeBatch(batch), { owners: to, replication }, level);
    },
  };
  return stage;
}

/** What the promise came to without any time passing; `waiting` when it has not. */
async function now<Value>(promise: Promise<Value>): Promise<Value | 'waiting'> {
  let value: Value | 'waiting' = 'waiting';
  void promise.then((result) => {
    value = result;
  });
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  return value;
}

function outcomeOf(result: ReplicateResult | 'waiting') {
  if (result === 'waiting' || result.kind !== 'outcome') throw new Error(`got ${JSON.stringify(result)}`);
  return result.outcome;
}

describe('the replicator', () => {
  it.each([
    ['any', 1],
    ['one', 1],
    ['quorum', 2],
  ] as const)('answers %s as soon as %i of three owners have the batch', async (level, copies) => {
    const stage = makeStage();
    for (const silent of owners.slice(copies)) stage.behaviour.set(silent, 'never');
    const outcome = outcomeOf(await now(stage.send(level)));
    expect(outcome).toEqual({
      ...{ group: 'w000000000001', shard: 4, level, required: copies },
      ...{ acknowledged: owners.slice(0, copies), hinted: [], failed: [] },
    });
  });

  it.each([
    ['any', 1, true],
    ['one', 1, true],
    ['quorum', 2, false],
    ['all', 3, false],
  ] as const)(
    'counts %s by the owners that a shard should have, not by the one it has',
    async (level, required, isMet) => {
      const stage = makeStage();
      for (const to of [[n1], [n2]]) {
        const outcome = outcomeOf(await now(stage.send(level, to, 3)));
        expect(outcome).toMatchObject({ required, acknowledged: to, hinted: [], failed: [] });
        expect(isLevelMet(outcome)).toBe(isMet);
      }
    },
  );

  it('answers all only when each owner has the batch', async () => {
    const stage = makeStage();
    let take = (_: AppendResult): void => {};
    stage.behaviour.set(n3, new Promise((resolve) => (take = resolve)));
    const answer = stage.send('all');
    expect(await now(answer)).toBe('waiting');
    take({ kind: 'duplicate' });
    expect(outcomeOf(await now(answer)).acknowledged).toEqual(owners);
  });

  it('counts other owners alone where this node is none', async () => {
    const stage = makeStage();
    expect(outcomeOf(await now(stage.send('all', [n2, n3]))).acknowledged).toEqual([n2, n3]);
    expect(stage.calls.get(n1)).toBeUndefined();
  });

  it('keeps a hint for an owner that failed, also after the answer', async () => {
    const stage = makeStage();
    let refuse = (_: unknown): void => {};
    stage.behaviour.set(n3, new Promise((_, reject) => (refuse = reject)));
    expect(outcomeOf(await now(stage.send('quorum'))).acknowledged).toEqual([n1, n2]);
    expect(stage.hints.get(n3)).toBeUndefined();
    refuse(away(n3));
    await now(Promise.resolve());
    expect(stage.hints.get(n3)).toEqual([1]);
  });

  it('keeps a hint for an owner that says nothing until the time-out, and says so where the level is not met', async () => {
    const stage = makeStage();
    stage.behaviour.set(n2, 'never');
    stage.behaviour.set(n3, away(n3));
    const answer = stage.send('quorum');
    await stage.clock.advance(9999);
    expect(await now(answer)).toBe('waiting');
    await stage.clock.advance(1);
    expect(outcomeOf(await now(answer))).toMatchObject({
      ...{ required: 2, acknowledged: [n1], failed: [] },
      hinted: [n3, n2],
    });
    expect(stage.counted).toEqual([
      ...['failed n3 unavailable', 'hinted n3', 'failed n2 timeout', 'hinted n2', 'quorum not-met'],
    ]);
    expect(stage.clock.sleeperCount).toBe(0);
  });

  it('names every owner with its reason where neither it nor a hint has the batch', async () => {
    const stage = makeStage();
    stage.hintFailure = new VarveError('exhausted', 'the hints for it take all they may');
    stage.behaviour.set(n1, new VarveError('exhausted', 'the disk is full'));
    stage.behaviour.set(n2, away(n2));
    stage.behaviour.set(n3, 'never');
    const answer = stage.send('any');
    await stage.clock.advance(10_000);
    expect(outcomeOf(await now(answer))).toMatchObject({
      ...{ required: 1, acknowledged: [], hinted: [] },
      failed: [
        { node: n1, reason: 'the disk is full' },
        { node: n2, reason: 'n2 is away; nor could a hint be kept: the hints for it take all they may' },
        { node: n3, reason: expect.stringMatching(/^no answer within 10s; nor could/) },
      ],
    });
  });

  it('takes a hint as a copy for any, and for no other level', async () => {
    const stage = makeStage();
    for (const owner of owners) stage.behaviour.set(owner, away(owner));
    expect(outcomeOf(await now(stage.send('any'))).hinted.length).toBeGreaterThanOrEqual(1);
    for (const level of ['one', 'quorum', 'all'] as const) {
      await now(stage.send(level));
      expect(stage.counted.at(-1)).toBe(`${level} not-met`);
    }
  });

  it('is closed by one owner that has closed the group before the level is met, not after', async () => {
    const stage = makeStage();
    stage.behaviour.set(n2, { kind: 'closed' });
    stage.behaviour.set(n3, 'never');
    expect(await now(stage.send('quorum'))).toEqual({ kind: 'closed' });
    expect(outcomeOf(await now(stage.send('one'))).acknowledged).toEqual([n1]);
  });

  it('leaves a batch that its owner would always refuse to nobody’s care', async () => {
    const stage = makeStage();
    stage.behaviour.set(n2, new VarveError('too-large', 'too large for its log'));
    const outcome = outcomeOf(await now(stage.send('all')));
    expect(outcome).toMatchObject({ hinted: [], failed: [{ node: n2, reason: 'too large for its log' }] });
    for (let i = 0; i < 5; i++) await now(stage.send('all'));
    expect(stage.calls.get(n2)).toBe(6);
  });

  it('does not try an owner that failed again and again until the back-off is over', async () => {
    const stage = makeStage();
    stage.behaviour.set(n3, away(n3));
    for (let i = 0; i < 10; i++) await now(stage.send('quorum'));
    expect(stage.calls.get(n3)).toBe(3);
    expect(stage.replicator.isSuspected(n3)).toBe(true);
    expect(stage.hints.get(n3)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await stage.clock.advance(1000);
    // Nothing may ever be sent to it again unless it is given something to own.
    expect(stage.replicator.isSuspected(n3)).toBe(false);
    await now(stage.send('quorum'));
    expect(stage.replicator.isSuspected(n3)).toBe(true);
    stage.behaviour.set(n3, applied);
    await stage.clock.advance(2000);
    await now(stage.send('quorum'));
    expect(stage.calls.get(n3)).toBe(5);
    expect(stage.replicator.isSuspected(n3)).toBe(false);
    await now(stage.send('all'));
    expect(stage.calls.get(n3)).toBe(6);
  });

  it('tries an owner at once that is told to be back: two that were away one after the other cost no quorum', async () => {
    const stage = makeStage();
    stage.behaviour.set(n3, away(n3));
    for (let i = 0; i < 3; i++) await now(stage.send('quorum'));
    expect(stage.replicator.isSuspected(n3)).toBe(true);
    stage.behaviour.set(n3, applied);
    stage.behaviour.set(n2, away(n2));
    expect(isLevelMet(outcomeOf(await now(stage.send('quorum'))))).toBe(false);
    stage.replicator.nodeIsBack(n3);
    expect(stage.replicator.isSuspected(n3)).toBe(false);
    expect(outcomeOf(await now(stage.send('quorum')))).toMatchObject({ acknowledged: [n1, n3] });
  });

  it('says in the log which level was not met, in a field of its own', async () => {
    const stage = makeStage({ hints: false });
    stage.behaviour.set(n3, away(n3));
    await now(stage.send('all'));
    const [fields] = stage.warned;
    expect(fields).toMatchObject({ consistency: 'all', required: 3, acknowledged: [n1, n2] });
    expect(fields).not.toHaveProperty('level');
  });

  it('bounds what is on its way to one owner: more becomes hints at once', async () => {
    const stage = makeStage({ limits: { laneBytesMax: 1000 } });
    stage.behaviour.set(n3, 'never');
    for (let i = 0; i < 20; i++) await now(stage.send('quorum'));
    const lane = stage.replicator.lanes().find(({ node }) => node === n3);
    expect(lane?.inFlightBytes).toBeGreaterThan(0);
    expect(lane?.inFlightBytes).toBeLessThanOrEqual(1000);
    expect(stage.hints.get(n3)).toHaveLength(20 - (stage.calls.get(n3) ?? 0));
    expect(stage.counted).toContain('failed n3 in-flight-full');
  });

  it('makes clients wait for the slowest owner once too much is under way in the background', async () => {
    const stage = makeStage({ limits: { backgroundBytesMax: 1000 } });
    stage.behaviour.set(n3, 'never');
    const answers: Promise<ReplicateResult>[] = [];
    while ((await now(answers.at(-1) ?? Promise.resolve(undefined))) !== 'waiting') {
      answers.push(stage.send('quorum'));
      expect(answers.length).toBeLessThan(100);
    }
    await stage.clock.advance(10_000);
    expect(outcomeOf(await now(answers.at(-1) as Promise<ReplicateResult>)).acknowledged).toEqual([n1, n2]);
    stage.behaviour.set(n3, applied);
    expect(outcomeOf(await now(stage.send('quorum'))).acknowledged).toHaveLength(2);
  });

  it('keeps hints at stop for what has not got to its owner within the grace', async () => {
    const stage = makeStage();
    stage.behaviour.set(n2, 'never');
    await now(stage.send('one'));
    const stopped = stage.replicator.stop(2000);
    await stage.clock.advance(1999);
    expect(await now(stopped.then(() => 'stopped'))).toBe('waiting');
    await stage.clock.advance(1);
    expect(await now(stopped.then(() => 'stopped'))).toBe('stopped');
    expect(stage.hints.get(n2)).toEqual([1]);
    expect(stage.clock.sleeperCount).toBe(0);
  });

  it('fails owners that are not known, with or without a place for hints', async () => {
    const stage = makeStage({ hints: false });
    const outcome = outcomeOf(await now(stage.send('all', [n1, 'n9' as NodeId])));
    expect(outcome.failed).toEqual([{ node: 'n9', reason: 'node n9: it is not known here' }]);
  });

  it('tells the cause itself where this node is the only owner', async () => {
    const stage = makeStage();
    const cause = new VarveError('exhausted', 'the disk is full');
    stage.behaviour.set(n1, cause);
    expect(await now(stage.send('quorum', [n1]))).toMatchObject({ cause, outcome: { acknowledged: [] } });
    stage.behaviour.set(n1, { kind: 'closed' });
    expect(await now(stage.send('quorum', [n1]))).toEqual({ kind: 'closed' });
  });
});
