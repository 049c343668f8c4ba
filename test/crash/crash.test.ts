import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { failpointNames } from '../../core/std/failpoint.js';
import { makeDataDir, removeDataDir, sealAll, startTestServer } from '../support/server-process.js';
import {
  CrashLedger,
  crashDatabase,
  crashFlags,
  findDamage,
  type Kill,
  runUntilKilled,
} from './kill-cycle.js';

/** VARVE_TEST_KILLS and VARVE_TEST_SEED choose how much and which; `npm run test:crash` sets 200. */
const killsWanted = Number(process.env['VARVE_TEST_KILLS'] ?? failpointNames.length + 3);
const seed = Number(process.env['VARVE_TEST_SEED'] ?? 20_261_120);
/** Each life has a data directory of its own, so that what is checked after every kill stays small. */
const killsPerLife = failpointNames.length + 3;
const lives = Array.from({ length: Math.ceil(killsWanted / killsPerLife) }, (_, life) => ({
  life: life + 1,
  kills: Math.min(killsPerLife, killsWanted - life * killsPerLife),
}));

/** Every failpoint in turn, between them kills at random moments. */
function killsOf(count: number, random: SeededRandom): Kill[] {
  return Array.from({ length: count }, (_, index): Kill => {
    const name = failpointNames[index];
    if (name === undefined) return { kind: 'after', delayMs: Math.floor(random.next() * 2500) };
    return { kind: 'failpoint', name, count: 1 + Math.floor(random.next() * 3) };
  });
}

describe.each(lives)(`a server that is killed $kills times (life $life, seed ${seed})`, ({ life, kills }) => {
  let dataDir = '';
  let hasHeld = false;
  beforeAll(() => {
    dataDir = makeDataDir();
  });
  // What has lost something is kept, to be looked at.
  afterAll(() => {
    if (hasHeld) removeDataDir(dataDir);
    else console.log(`kept: ${dataDir}`);
  });

  it(
    'has every acknowledged point exactly once after each restart, in both tiers in the end',
    async () => {
      const random = new SeededRandom(seed + life);
      const ledger = new CrashLedger();
      const reached = new Map<string, number>();
      for (const kill of killsOf(kills, random)) {
        const name = kill.kind === 'failpoint' ? kill.name : 'random';
        const { end, damage } = await runUntilKilled(dataDir, kill, ledger, random);
        expect(damage ?? [], `at the start of the run to be killed at ${JSON.stringify(kill)}`).toEqual([]);
        if (end === 'killed') reached.set(name, (reached.get(name) ?? 0) + 1);
      }
      const server = await startTestServer({ dataDir, flags: crashFlags });
      expect(await findDamage(server, ledger, 'all')).toEqual([]);
      await sealAll(server.client, crashDatabase);
      expect(await findDamage(server, ledger, 'settled')).toEqual([]);
      const verified = (await server.client.json('/api/v1/verify', { query: { db: crashDatabase } })) as {
        differences: unknown[];
      };
      expect(verified.differences).toEqual([]);
      await server.kill();
      expect(ledger.acknowledged.size).toBeGreaterThan(100);
      console.log(
        `${ledger.acknowledged.size} points acknowledged; kills: ${JSON.stringify(Object.fromEntries(reached))}`,
      );
      if (kills === killsPerLife) {
        expect(
          failpointNames.filter((name) => !reached.has(name)),
          'failpoints never reached',
        ).toEqual([]);
      }
      hasHeld = true;
    },
    kills * 60_000,
  );
});
