import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError } from '../../cli/client/api-client.js';
import type { ConsistencyLevel } from '../../core/catalog/types.js';
import { canTellSocketOwner } from '../support/socket-owner.js';
import { FaultCluster, stopClusters } from './fault-cluster.js';

/**
 * The set-up of Jepsen's test of InfluxDB: a register written at one timestamp, and a grow-only set, by clients on both
 * sides of a partition in halves. One side has a node and a querier, the other two nodes, a querier and the compactor.
 */
const db = 'jepsen';
const levels: readonly ConsistencyLevel[] = ['any', 'one', 'quorum', 'all'];
const small = { node: 'node-1', querier: 'query-1', names: ['node-1', 'query-1'] };
const large = { node: 'node-2', querier: 'query-2', names: ['node-2', 'node-3', 'query-2', 'compactor'] };
const sides = [small, large] as const;
const rounds = 5;
const timeNs = BigInt(Date.now()) * 1_000_000n;

let cluster: FaultCluster;
const seen: string[] = [];

interface WriteOutcome {
  readonly isAcknowledged: boolean;
  /** Of a refused write: who has it, who is to get it. */
  readonly shards: readonly {
    readonly acknowledged: readonly string[];
    readonly hinted: readonly string[];
    readonly failed: readonly { readonly node: string }[];
  }[];
}

async function write(node: string, level: ConsistencyLevel, line: string): Promise<WriteOutcome> {
  try {
    const response = await cluster.process(node).client.request('/api/v3/write_lp', {
      method: 'POST',
      query: { db, precision: 'nanosecond', consistency: level },
      body: new TextEncoder().encode(line),
    });
    await response.arrayBuffer();
    return { isAcknowledged: true, shards: [] };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 503) throw error;
    const { shards, retry } = error.body as WriteOutcome & { readonly retry: string };
    expect(retry).toBe('safe');
    return { isAcknowledged: false, shards };
  }
}

/** The rows of an answer, or `unavailable`. */
async function read(
  querier: string,
  consistency: 'one' | 'quorum',
  q: string,
): Promise<readonly Record<string, unknown>[] | 'unavailable'> {
  try {
    return (await cluster.process(querier).client.json('/api/v3/query_sql', {
      query: { db, q, consistency },
    })) as readonly Record<string, unknown>[];
  } catch (error) {
    if (error instanceof ApiError && error.status === 503) return 'unavailable';
    throw error;
  }
}

async function readRegister(querier: string, consistency: 'one' | 'quorum', level: string): Promise<unknown> {
  const rows = await read(querier, consistency, `SELECT value FROM register WHERE level = '${level}'`);
  if (rows === 'unavailable') return rows;
  expect(rows.length).toBe(1);
  return rows[0]?.['value'];
}

async function readSet(
  querier: string,
  consistency: 'one' | 'quorum',
  level: string,
): Promise<readonly number[] | 'unavailable'> {
  const q = `SELECT element FROM elements WHERE level = '${level}' ORDER BY element`;
  const rows = await read(querier, consistency, q);
  return rows === 'unavailable' ? rows : rows.map(({ element }) => Number(element));
}

const registerLine = (level: string, value: number): string =>
  `register,level=${level} value=${value}i ${timeNs}`;
/** Elements of the small side are odd, of the large side even. */
const elementLine = (level: string, element: number): string =>
  `elements,level=${level} element=${element}i ${timeNs + BigInt(element)}`;

function partition(): void {
  for (const caller of cluster.callers) {
    for (const node of cluster.nodes) {
      if (small.names.includes(caller) !== small.names.includes(node)) {
        cluster.setLink(caller, node, { isCut: true });
      }
    }
  }
}

/** Asks until it is as wanted; the test's own time limit ends it. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await sleep(100);
}

/** What was acknowledged, what was seen meanwhile, and what stands in the end, of one level. */
interface Course {
  readonly level: ConsistencyLevel;
  readonly acknowledged: readonly [small: number[], large: number[]];
  readonly refused: readonly [small: WriteOutcome[], large: WriteOutcome[]];
  readonly registers: readonly {
    readonly consistency: 'one' | 'quorum';
    readonly values: readonly unknown[];
  }[];
  readonly sets: readonly {
    readonly consistency: 'one' | 'quorum';
    readonly values: readonly (readonly number[] | 'unavailable')[];
  }[];
}

const courses = new Map<ConsistencyLevel, Course>();
const course = (level: ConsistencyLevel): Course => {
  const found = courses.get(level);
  if (found === undefined) throw new Error(`level ${level} has not been run`);
  return found;
};

async function runLevel(level: ConsistencyLevel): Promise<Course> {
  const acknowledged: [number[], number[]] = [[], []];
  const refused: [WriteOutcome[], WriteOutcome[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const [index, side] of sides.entries()) {
      const value = 2 * round + 1 + index;
      const outcome = await write(side.node, level, registerLine(level, value));
      const added = await write(side.node, level, elementLine(level, value));
      expect(added.isAcknowledged).toBe(outcome.isAcknowledged);
      if (outcome.isAcknowledged) acknowledged[index]?.push(value);
      else refused[index]?.push(outcome);
    }
  }
  const registers = [];
  const sets = [];
  for (const consistency of ['one', 'quorum'] as const) {
    registers.push({
      consistency,
      values: [
        await readRegister(small.querier, consistency, level),
        await readRegister(large.querier, consistency, level),
      ],
    });
    sets.push({
      consistency,
      values: [
        await readSet(small.querier, consistency, level),
        await readSet(large.querier, consistency, level),
      ],
    });
  }
  return { level, acknowledged, refused, registers, sets };
}

describe.skipIf(!canTellSocketOwner)(
  'a register at one timestamp and a grow-only set under a partition in halves',
  () => {
    beforeAll(async () => {
      cluster = await FaultCluster.start({
        nodes: ['node-1', 'node-2', 'node-3'],
        queriers: ['query-1', 'query-2'],
        ingestFlags: [
          ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'],
          // Owners stay as they were chosen: the levels are to be seen, not the choice.
          ...['--heartbeat-interval', '300ms', '--node-silence-max', '1h', '--write-timeout', '10s'],
        ],
        compactorFlags: ['--compact-interval', '200ms', '--release-grace', '200ms', '--lease-ttl', '1s'],
        volumeBytes: null,
      });
      for (const level of levels) {
        const lines = `${registerLine(level, 0)}\n${elementLine(level, 0)}`;
        expect((await write('node-1', 'all', lines)).isAcknowledged).toBe(true);
      }
      partition();
      for (const level of levels) courses.set(level, await runLevel(level));
      cluster.healLinks();
    });
    afterAll(async () => {
      console.log(seen.join('\n'));
      await stopClusters();
    });

    const odd = [1, 3, 5, 7, 9];
    const even = [2, 4, 6, 8, 10];

    it.each(['any', 'one'] as const)(
      '%s: both sides write on, and see only their own side meanwhile',
      (level) => {
        const { acknowledged, registers, sets } = course(level);
        expect(acknowledged).toEqual([odd, even]);
        expect(registers).toEqual([
          { consistency: 'one', values: [9, 10] },
          { consistency: 'quorum', values: ['unavailable', 10] },
        ]);
        expect(sets).toEqual([
          {
            consistency: 'one',
            values: [
              [0, ...odd],
              [0, ...even],
            ],
          },
          { consistency: 'quorum', values: ['unavailable', [0, ...even]] },
        ]);
      },
    );

    it('quorum: the side with two of three writes and reads on, the other one does neither', () => {
      const { acknowledged, refused, registers, sets } = course('quorum');
      expect(acknowledged).toEqual([[], even]);
      for (const { shards } of refused[0]) {
        expect(shards).toMatchObject([
          { acknowledged: ['node-1'], hinted: expect.arrayContaining(['node-2', 'node-3']) },
        ]);
      }
      expect(registers[1]).toEqual({ consistency: 'quorum', values: ['unavailable', 10] });
      expect(sets[1]).toEqual({ consistency: 'quorum', values: ['unavailable', [0, ...even]] });
    });

    it('all: nobody writes, and each refusal says exactly who has the write', () => {
      const { acknowledged, refused } = course('all');
      expect(acknowledged).toEqual([[], []]);
      expect(refused[0]).toHaveLength(rounds);
      expect(refused[1]).toHaveLength(rounds);
      for (const { shards } of refused[0]) {
        expect(shards).toMatchObject([{ acknowledged: ['node-1'] }]);
        expect([...(shards[0]?.hinted ?? [])].sort()).toEqual(['node-2', 'node-3']);
      }
      for (const { shards } of refused[1]) {
        expect([...(shards[0]?.acknowledged ?? [])].sort()).toEqual(['node-2', 'node-3']);
        expect(shards).toMatchObject([{ hinted: ['node-1'] }]);
      }
    });

    it('after healing all copies agree: the register has the value written last, the set has every element', async () => {
      for (const { querier } of sides) {
        for (const level of levels) {
          for (const consistency of ['one', 'quorum'] as const) {
            // The last write of each level had the highest stamp, whether it was acknowledged or refused.
            await until(async () => (await readRegister(querier, consistency, level)) === 10);
            const wanted = [0, ...odd, ...even].sort((left, right) => left - right).join();
            await until(async () => String(await readSet(querier, consistency, level)) === wanted);
          }
        }
      }
      for (const level of levels) {
        const { acknowledged, registers, sets } = course(level);
        const values = registers.map(({ consistency, values: [a, b] }) => `at ${consistency} ${a} / ${b}`);
        const counts = sets.map(({ consistency, values: found }) => {
          const [a, b] = found.map((each) => (each === 'unavailable' ? each : `${each.length}`));
          return `at ${consistency} ${a} / ${b}`;
        });
        seen.push(
          `${level}: acknowledged ${acknowledged.map((each) => each.length).join(' / ')} of ${rounds} / ${rounds}; register ${values.join(', ')}; set ${counts.join(', ')}; after healing 10 and 11 elements everywhere`,
        );
      }
    });

    it('settles to the same', async () => {
      const { client } = cluster.process('compactor');
      await until(async () => {
        await client.json('/api/v1/truncate-shards', { method: 'POST', body: {} });
        const answer = (await client.json('/api/v1/seal', {
          method: 'POST',
          body: { db, before: new Date().toISOString() },
        })) as { readonly waiting: readonly unknown[] };
        return answer.waiting.length === 0;
      });
      const settled = (await cluster.process('query-1').client.json('/api/v3/query_sql', {
        query: { db, tier: 'settled', q: 'SELECT level, value FROM register ORDER BY level' },
      })) as unknown;
      expect(settled).toEqual([...levels].sort().map((level) => ({ level, value: 10 })));
    });
  },
);
