import { setTimeout as sleep } from 'node:timers/promises';
import { type Dataset, makeDataset } from '../generate/dataset.js';
import { type LoadResult, load } from '../measure/load.js';
import { untilQuiet, watchOtherWork } from '../measure/other-work.js';
import { type Spread, spreadOf } from '../measure/statistics.js';
import { type QuestionShape, type QuestionSpan, questionsOf } from '../questions/question.js';
import type { RunningSystem, System, SystemName } from '../systems/system.js';
import { spanOf } from './ingest.js';
import type { Progress } from './progress.js';
import { questionSpanOf, shapesNamed } from './query.js';

/** What to measure. */
export interface UnderLoadOptions {
  /** Settled before questions are asked; all questions are about it. */
  readonly dataset: Dataset;
  readonly systems: readonly System[];
  readonly shapes: readonly string[];
  readonly questionsPerShape: number;
  readonly connections: number;
  /** Lines sent to find out how many a second the system takes, and per shape while it is asked. */
  readonly probeLines: number;
  /** The load while questions are asked, as a share of what the system takes. */
  readonly share: number;
  /** Waited after every change of load. */
  readonly settleDownMs: number;
  /** How long to wait before each system's turn for a quiet machine. */
  readonly patienceMs: number;
  readonly progress: Progress;
}

/** Latencies of one shape with nothing else going on and under load. */
export interface UnderLoadFigures {
  readonly system: SystemName;
  readonly shape: string;
  readonly idleMs: Spread;
  readonly loadedMs: Spread;
}

/** What a system did in the run. */
export interface UnderLoadResult {
  readonly system: SystemName;
  readonly linesPerSecondMax: number;
  readonly linesPerSecondWanted: number;
  readonly linesPerSecondHad: number;
  readonly acknowledgeMs: Spread;
  readonly refused: number;
  /** Cores that other work on the machine kept busy while questions were timed. */
  readonly otherCores: number;
  readonly shapes: readonly UnderLoadFigures[];
}

/** Shapes whose answers do not change while newer points come in. */
export const underLoadShapes = [
  ...['single-groupby-1-1-1', 'single-groupby-1-8-1', 'single-groupby-5-8-1'],
  ...['cpu-max-all-8', 'double-groupby-1', 'double-groupby-all'],
];

/** Query latency while ingest runs at a share of what the system takes; systems take turns. */
export async function runUnderLoad(options: UnderLoadOptions): Promise<UnderLoadResult[]> {
  const { dataset } = options;
  // Newer points of the same hosts: the questions then touch settled data alone, as they did when idle.
  const newer = await makeDataset({
    ...dataset.options,
    seed: dataset.options.seed + 1,
    startMs: spanOf(dataset).toMs,
    steps: Math.ceil(options.probeLines / dataset.options.hosts),
  });
  const results: UnderLoadResult[] = [];
  try {
    for (const system of options.systems) {
      await untilQuiet(options.patienceMs);
      const running = await system.start('default');
      try {
        results.push(await measure(running, newer, options));
      } finally {
        await running.stop();
      }
    }
  } finally {
    await newer.dispose();
  }
  return results;
}

async function measure(
  system: RunningSystem,
  newer: Dataset,
  options: UnderLoadOptions,
): Promise<UnderLoadResult> {
  const { dataset, connections, progress } = options;
  const bodiesOf = (set: Dataset) => set.passes.flatMap((pass) => pass.bodies);
  progress(`${system.name} takes ${dataset.lines} lines and settles them`);
  await load(system.write, dataset, bodiesOf(dataset), { connections });
  await system.settle();
  await system.merge();
  progress(`${system.name}: as many lines as it takes`);
  const probe = await load(system.write, newer, bodiesOf(newer), { connections });
  await system.settle();
  await sleep(options.settleDownMs);

  const span = questionSpanOf(dataset);
  const shapes = shapesNamed(options.shapes.length === 0 ? underLoadShapes : options.shapes);
  const others = watchOtherWork(() => system.cpuSeconds());
  const idle: Spread[] = [];
  for (const shape of shapes) idle.push(await timeQuestions(system, shape, span, options.questionsPerShape));

  const linesPerSecond = probe.linesPerSecond * options.share;
  progress(`${system.name}: questions while ${Math.round(linesPerSecond)} lines/s come in`);
  const abort = new AbortController();
  const loading = keepLoading(system, newer, { connections, linesPerSecond, signal: abort.signal });
  const loaded: Spread[] = [];
  try {
    await sleep(options.settleDownMs);
    for (const shape of shapes)
      loaded.push(await timeQuestions(system, shape, span, options.questionsPerShape));
  } finally {
    abort.abort();
  }
  const under = await loading;
  const otherCores = others.cores();
  return {
    system: system.name,
    linesPerSecondMax: probe.linesPerSecond,
    linesPerSecondWanted: linesPerSecond,
    linesPerSecondHad:
      under.reduce((sum, { lines }) => sum + lines, 0) / under.reduce((s, r) => s + r.seconds, 0),
    acknowledgeMs: worst(under.map(({ acknowledgeMs }) => acknowledgeMs)),
    refused: under.reduce((sum, { refused }) => sum + refused, 0),
    otherCores,
    shapes: shapes.map((shape, index) => ({
      system: system.name,
      shape: shape.name,
      idleMs: idle[index] as Spread,
      loadedMs: loaded[index] as Spread,
    })),
  };
}

/** Sends the points again and again, each time as later ones. */
async function keepLoading(
  system: RunningSystem,
  dataset: Dataset,
  options: { readonly connections: number; readonly linesPerSecond: number; readonly signal: AbortSignal },
): Promise<readonly LoadResult[]> {
  const bodies = dataset.passes.flatMap((pass) => pass.bodies);
  const { fromMs, toMs } = spanOf(dataset);
  const results: LoadResult[] = [];
  for (let shiftSeconds = 0; !options.signal.aborted; ) {
    shiftSeconds += (toMs - fromMs) / 1000;
    results.push(await load(system.write, dataset, bodies, { ...options, shiftSeconds }));
  }
  return results;
}

async function timeQuestions(
  system: RunningSystem,
  shape: QuestionShape,
  span: QuestionSpan,
  count: number,
): Promise<Spread> {
  const millis: number[] = [];
  for (const [index, question] of questionsOf(shape, span, count + 3, 42).entries()) {
    const startMs = performance.now();
    await system.ask(question);
    if (index >= 3) millis.push(performance.now() - startMs);
  }
  return spreadOf(millis);
}

/** The spread of the whole is not known from parts; of each figure the worst is told. */
function worst(parts: readonly Spread[]): Spread {
  const most = (of: (part: Spread) => number): number => Math.max(...parts.map(of));
  return {
    count: parts.reduce((sum, { count }) => sum + count, 0),
    min: Math.min(...parts.map(({ min }) => min)),
    median: most(({ median }) => median),
    p99: most(({ p99 }) => p99),
    max: most(({ max }) => max),
  };
}
