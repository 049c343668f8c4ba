import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dataset, makeDataset, tsbsStartMs } from '../../../bench/generate/dataset.js';
import { priceList } from '../../../bench/measure/price-list.js';
import { questionShapes } from '../../../bench/questions/question.js';
import { clusterReport } from '../../../bench/report/cluster-report.js';
import { costReport } from '../../../bench/report/cost-report.js';
import { growthReport } from '../../../bench/report/growth-report.js';
import { ingestReport } from '../../../bench/report/ingest-report.js';
import { queryReport } from '../../../bench/report/query-report.js';
import { underLoadReport } from '../../../bench/report/under-load-report.js';
import { runCluster } from '../../../bench/runs/cluster.js';
import { runCost } from '../../../bench/runs/cost.js';
import { runGrowth } from '../../../bench/runs/growth.js';
import { runIngest } from '../../../bench/runs/ingest.js';
import { runQuery } from '../../../bench/runs/query.js';
import { runUnderLoad } from '../../../bench/runs/under-load.js';
import { lineupOf } from '../../../bench/systems/systems.js';

/**
 * The bench itself on a few hundred lines, so that it cannot rot. Its own checks are the assertions: points that
 * were sent are there, and Varve and DuckDB over a plain file answer alike.
 */
const progress = (): void => {};
let dataset: Dataset;

beforeAll(async () => {
  dataset = await makeDataset({
    shape: 'cpu-only',
    hosts: 12,
    steps: 60,
    kind: 'float',
    order: 'shuffled',
    seed: 5,
    linesPerBody: 100,
    startMs: tsbsStartMs,
    stepMs: 10_000,
  });
});

afterAll(() => dataset.dispose());

describe('the bench on a few hundred lines', () => {
  it('measures requests, which stay within their goals', async () => {
    const [figures, ...more] = await runCost({ hosts: 10, hours: 0.25, windowsMs: [60_000], progress });
    expect(more).toEqual([]);
    if (figures === undefined) throw new Error('want figures');
    expect(figures.points).toBe(900);
    expect(figures.mostOfASeal.puts).toBeLessThanOrEqual(4);
    expect(figures.ingest).toMatchObject({ puts: 0, gets: 0, lists: 0 });
    expect(figures.sealing.lists).toBe(0);
    expect(figures.coldQuery.gets).toBeLessThanOrEqual(2);
    expect(figures.warmQuery.gets).toBe(0);
    for (const { lists, readUnits } of [figures.coldQuery, figures.warmQuery]) {
      expect(lists).toBe(0);
      expect(readUnits).toBeLessThan(10);
    }
    expect(costReport([figures], priceList)).toContain('us-east-1');
  }, 60_000);

  it('measures ingest', async () => {
    const figures = await runIngest({
      datasetOf: async () => dataset,
      systems: lineupOf('varve').servers,
      rounds: 1,
      connections: 2,
      keeping: 'default',
      patienceMs: 0,
      progress,
    });
    expect(figures).toMatchObject([{ system: 'varve', round: 0, lines: 720 }]);
    expect(figures[0]?.bytesPerSample).toBeGreaterThan(0);
    expect(ingestReport(figures)).toContain('lines/s acknowledged');
  });

  it('measures a cluster', async () => {
    const figures = await runCluster({
      ...{ dataset, replications: [3], rounds: 1, connections: 1, patienceMs: 0, progress },
    });
    expect(figures.replications.map(({ lines }) => lines)).toEqual([720]);
    expect(figures.handoffs[0]?.hints).toBeGreaterThan(0);
    expect(clusterReport(figures)).toContain('to a node that was away');
  });

  it('times every shape in every state, beside DuckDB', async () => {
    const figures = await runQuery({
      dataset,
      lineup: lineupOf('varve,sorted-parquet'),
      states: ['hot', 'mixed', 'settled'],
      shapes: [],
      rounds: 1,
      questionsPerRound: 1,
      connections: 2,
      patienceMs: 0,
      progress,
    });
    const timed = figures.map(({ system, state, shape }) => `${system} ${state} ${shape}`);
    expect(new Set(timed)).toEqual(
      new Set(
        questionShapes.flatMap(({ name }) => [
          ...['hot', 'mixed', 'settled'].map((state) => `varve ${state} ${name}`),
          `sorted-parquet settled ${name}`,
        ]),
      ),
    );
    expect(queryReport(figures)).toContain('lastpoint');
  });

  it('asks while lines come in', async () => {
    const [result] = await runUnderLoad({
      dataset,
      systems: lineupOf('varve').servers,
      shapes: ['single-groupby-1-1-1'],
      questionsPerShape: 3,
      connections: 2,
      probeLines: 120,
      share: 0.5,
      settleDownMs: 0,
      patienceMs: 0,
      progress,
    });
    expect(result?.shapes[0]?.loadedMs.count).toBe(3);
    expect(underLoadReport(result === undefined ? [] : [result])).toContain('lines/s');
  });

  it('asks over more history and more tables', async () => {
    const figures = await runGrowth({
      base: { hosts: 5, steps: 100, kind: 'int', seed: 1, startMs: tsbsStartMs, stepMs: 600_000 },
      scales: [3],
      tableCounts: [2],
      shapes: ['single-groupby-1-1-1', 'lastpoint'],
      questionsPerShape: 1,
      patienceMs: 0,
      progress,
    });
    // Of 100 steps of ten minutes, 144 make a day.
    expect(figures.map(({ rows, files }) => ({ rows, files }))).toEqual([
      { rows: 1500, files: 3 },
      { rows: 1000, files: 2 },
    ]);
    expect(growthReport(figures)).toContain('3×');
  });
});
