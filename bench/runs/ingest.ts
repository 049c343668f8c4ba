import type { Dataset } from '../generate/dataset.js';
import { type LoadResult, load } from '../measure/load.js';
import { untilQuiet, watchOtherWork } from '../measure/other-work.js';
import type { Spread } from '../measure/statistics.js';
import type { Keeping, RunningSystem, System, SystemName } from '../systems/system.js';
import { checkTotals } from './agreement.js';
import type { Progress } from './progress.js';

/** What to measure. */
export interface IngestRunOptions {
  /** The points of a round; they may be the same every time. */
  readonly datasetOf: (round: number) => Promise<Dataset>;
  readonly systems: readonly System[];
  readonly rounds: number;
  readonly connections: number;
  readonly keeping: Keeping;
  /** How long to wait before each system's turn for a quiet machine. */
  readonly patienceMs: number;
  readonly progress: Progress;
}

/** Figures of one system in one round. */
export interface IngestFigures {
  readonly system: SystemName;
  readonly round: number;
  readonly lines: number;
  readonly passes: readonly {
    readonly name: string;
    readonly lines: number;
    readonly linesPerSecond: number;
  }[];
  readonly linesPerSecondAcknowledged: number;
  readonly linesPerSecondSettled: number;
  /** Of the server, until settled. */
  readonly cpuSecondsPerMillionLines: number;
  readonly clientCpuSecondsPerMillionLines: number;
  /** Peak resident memory when the last line was acknowledged, and once all was settled. */
  readonly peakMebibytesAcknowledged: number;
  readonly peakMebibytes: number;
  /** On disk after settling and merging. */
  readonly bytesPerSample: number;
  readonly indexBytesPerSample: number;
  readonly acknowledgeMs: Spread;
  readonly refused: number;
  /** Cores that other work on the machine kept busy until all was settled. */
  readonly otherCores: number;
}

/**
 * Starts each system with nothing in it, sends it all points as fast as it acknowledges them, waits until they are
 * settled, and checks that it holds what was sent. Systems take turns within every round.
 */
export async function runIngest(options: IngestRunOptions): Promise<IngestFigures[]> {
  const figures: IngestFigures[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const dataset = await options.datasetOf(round);
    for (const system of options.systems) {
      await untilQuiet(options.patienceMs);
      options.progress(
        `round ${round + 1} of ${options.rounds}: ${system.name} takes ${dataset.lines} lines`,
      );
      const running = await system.start(options.keeping);
      try {
        figures.push(await measureIngest(running, dataset, round, options.connections));
      } finally {
        await running.stop();
      }
    }
  }
  return figures;
}

async function measureIngest(
  system: RunningSystem,
  dataset: Dataset,
  round: number,
  connections: number,
): Promise<IngestFigures> {
  const cpuBefore = system.cpuSeconds();
  const others = watchOtherWork(() => system.cpuSeconds());
  const startMs = performance.now();
  const passes: { readonly name: string; readonly result: LoadResult }[] = [];
  for (const { name, bodies } of dataset.passes) {
    passes.push({ name, result: await load(system.write, dataset, bodies, { connections }) });
  }
  const secondsAcknowledged = (performance.now() - startMs) / 1000;
  const peakAcknowledged = system.peakBytes();
  await system.settle();
  const secondsSettled = (performance.now() - startMs) / 1000;
  const cpuSeconds = system.cpuSeconds() - cpuBefore;
  const otherCores = others.cores();
  const peakBytes = system.peakBytes();
  await system.merge();
  const disk = await system.diskBytes();
  checkTotals(system.name, dataset.totals, await system.totals(dataset.tables, spanOf(dataset)));
  const { lines, samples } = dataset;
  const results = passes.map(({ result }) => result);
  return {
    system: system.name,
    round,
    lines,
    passes: passes.map(({ name, result }) => ({
      name,
      lines: result.lines,
      linesPerSecond: result.linesPerSecond,
    })),
    linesPerSecondAcknowledged: lines / secondsAcknowledged,
    linesPerSecondSettled: lines / secondsSettled,
    cpuSecondsPerMillionLines: (cpuSeconds / lines) * 1e6,
    clientCpuSecondsPerMillionLines:
      (results.reduce((sum, { clientCpuSeconds }) => sum + clientCpuSeconds, 0) / lines) * 1e6,
    peakMebibytesAcknowledged: peakAcknowledged / 2 ** 20,
    peakMebibytes: peakBytes / 2 ** 20,
    bytesPerSample: disk.data / samples,
    indexBytesPerSample: disk.index / samples,
    // Of the last pass: it is the one that meets the system warm.
    acknowledgeMs: (results.at(-1) as LoadResult).acknowledgeMs,
    refused: results.reduce((sum, result) => sum + result.refused, 0),
    otherCores,
  };
}

/** The times of a dataset: milliseconds, `toMs` exclusive. */
export function spanOf({ options }: Dataset): { readonly fromMs: number; readonly toMs: number } {
  return { fromMs: options.startMs, toMs: options.startMs + options.steps * options.stepMs };
}
