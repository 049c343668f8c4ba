import { writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { canTellSocketOwner } from '../support/socket-owner.js';
import { describeRun } from './describe-run.js';
import { stopClusters } from './fault-cluster.js';
import { runFaults } from './fault-run.js';

/** `npm run test:faults -- --minutes N --seed N` sets these. */
const minutes = Number(process.env['VARVE_TEST_MINUTES'] ?? 0);
const seed = Number(process.env['VARVE_TEST_SEED'] ?? 20_261_120);
const linesPerSecond = Number(process.env['VARVE_TEST_LINES'] ?? 20_000);
const reportPath = process.env['VARVE_TEST_REPORT'];
const isLong = minutes > 0;

afterAll(stopClusters);

it.skipIf(!canTellSocketOwner)(
  `a cluster that is broken in every way keeps what it acknowledged (${isLong ? `${minutes} minutes` : 'each fault once'}, seed ${seed})`,
  async () => {
    const report = await runFaults({
      seed,
      faultMs: minutes * 60_000,
      ...(isLong
        ? { linesPerSecond, writers: 8, linesAWrite: 500, lengthMs: [2000, 10_000], calmMs: 2000 }
        : { linesPerSecond: 600, writers: 4, linesAWrite: 20, lengthMs: [1000, 2000], calmMs: 300 }),
      ...(isLong ? { onStep: (text) => console.log(`${new Date().toISOString()} ${text}`) } : {}),
    });
    const text = describeRun(report);
    console.log(text);
    if (reportPath !== undefined) writeFileSync(reportPath, text);
    expect(report.problems.slice(0, 20)).toEqual([]);
    expect(report.acknowledgedRows).toBeGreaterThan(1000);
    expect(report.reads.whole).toBeGreaterThan(0);
  },
  minutes * 60_000 + 1_800_000,
);
