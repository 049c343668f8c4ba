import type { CpuOnlyOptions } from '../generate/cpu-only.js';
import { writeHistory } from '../generate/history.js';
import { untilQuiet, watchOtherWork } from '../measure/other-work.js';
import { type Spread, spreadOf } from '../measure/statistics.js';
import { type QuestionSpan, questionsOf } from '../questions/question.js';
import { makeDirectory } from '../systems/child-server.js';
import { startVarve, type VarveUnderTest } from '../systems/varve.js';
import { checkAgreement } from './agreement.js';
import type { Progress } from './progress.js';
import { shapesNamed } from './query.js';

/** What to measure. */
export interface GrowthOptions {
  /** One times history. */
  readonly base: CpuOnlyOptions;
  /** How many times as long the history is. */
  readonly scales: readonly number[];
  /** How many tables there are, each with one times history. */
  readonly tableCounts: readonly number[];
  readonly shapes: readonly string[];
  readonly questionsPerShape: number;
  /** How long to wait before each size's questions for a quiet machine. */
  readonly patienceMs: number;
  readonly progress: Progress;
}

/** Latencies at one size. */
export interface GrowthFigures {
  readonly scale: number;
  readonly tables: number;
  readonly rows: number;
  readonly files: number;
  readonly mebibytes: number;
  /** Rows a second that were generated and written as files. */
  readonly rowsPerSecondWritten: number;
  /** From starting the process to the first answer. */
  readonly firstAnswerMs: number;
  readonly peakMebibytes: number;
  /** Cores that other work on the machine kept busy while questions were timed. */
  readonly otherCores: number;
  readonly shapes: readonly { readonly shape: string; readonly ms: Spread }[];
}

/** Shapes whose questions touch a fixed stretch of time, whatever the length of history. */
export const growthShapes = [
  ...['single-groupby-1-1-1', 'single-groupby-5-8-1', 'cpu-max-all-8', 'double-groupby-1'],
  ...['double-groupby-all', 'groupby-orderby-limit', 'lastpoint'],
];

const database = 'bench';
/** Nothing is to be written while questions are timed. */
const quiet = ['--housekeeping-interval', '1h'];

/** The same questions over ever longer history and ever more tables, generated directly as settled files. */
export async function runGrowth(options: GrowthOptions): Promise<GrowthFigures[]> {
  const sizes = [
    ...options.scales.map((scale) => ({ scale, tables: 1 })),
    ...options.tableCounts.filter((tables) => tables > 1).map((tables) => ({ scale: 1, tables })),
  ];
  const figures: GrowthFigures[] = [];
  for (const size of sizes) figures.push(await measureSize(size, options));
  return figures;
}

async function measureSize(
  { scale, tables }: { readonly scale: number; readonly tables: number },
  options: GrowthOptions,
): Promise<GrowthFigures> {
  const { base, progress } = options;
  const dataDir = makeDirectory('growth');
  progress(
    `writing ${scale} × history in ${tables} tables: ${scale * tables * base.hosts * base.steps} rows`,
  );
  const every = Array.from({ length: tables }, (_, index): CpuOnlyOptions => {
    const steps = base.steps * scale;
    return { ...base, steps, table: index === 0 ? 'cpu' : `cpu_${index}`, seed: base.seed + index };
  });
  const written = await writeHistory(dataDir, database, every);

  await untilQuiet(options.patienceMs);
  const startMs = performance.now();
  const server = await startVarve(quiet, dataDir);
  try {
    // Questions are about the newest part, as long as one times history.
    const end = (base.startMs + base.steps * scale * base.stepMs) / 1000;
    const span: QuestionSpan = {
      from: end - (base.steps * base.stepMs) / 1000,
      to: end,
      hosts: base.hosts,
      table: 'cpu',
    };
    const rows = await server.sql('SELECT count(*) AS count FROM cpu');
    const firstAnswerMs = performance.now() - startMs;
    const [counted] = JSON.parse(rows.toString()) as { readonly count: number }[];
    const wanted = base.hosts * base.steps * scale;
    if (counted?.count !== wanted) throw new Error(`rows of cpu: got ${counted?.count}; want ${wanted}`);
    const others = watchOtherWork(() => server.cpuSeconds());
    const shapes = await timeShapes(server, span, options);
    return {
      scale,
      tables,
      rows: written.rows,
      files: written.files,
      mebibytes: written.bytes / 2 ** 20,
      rowsPerSecondWritten: written.rows / written.seconds,
      firstAnswerMs,
      shapes,
      otherCores: others.cores(),
      peakMebibytes: server.peakBytes() / 2 ** 20,
    };
  } finally {
    await server.stop();
  }
}

async function timeShapes(
  server: VarveUnderTest,
  span: QuestionSpan,
  options: GrowthOptions,
): Promise<GrowthFigures['shapes']> {
  const figures: { shape: string; ms: Spread }[] = [];
  for (const shape of shapesNamed(options.shapes.length === 0 ? growthShapes : options.shapes)) {
    options.progress(shape.name);
    await checkAgreement([server], questionsOf(shape, span, 1, 11));
    const count = shape.heavy
      ? Math.max(1, Math.ceil(options.questionsPerShape / 3))
      : options.questionsPerShape;
    const millis: number[] = [];
    for (const question of questionsOf(shape, span, count, 42)) {
      const startMs = performance.now();
      await server.ask(question);
      millis.push(performance.now() - startMs);
    }
    figures.push({ shape: shape.name, ms: spreadOf(millis) });
  }
  return figures;
}
