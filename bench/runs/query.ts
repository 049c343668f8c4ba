import type { CpuOnlyOptions } from '../generate/cpu-only.js';
import type { Dataset } from '../generate/dataset.js';
import { load } from '../measure/load.js';
import { untilQuiet, watchOtherWork } from '../measure/other-work.js';
import { type Spread, spreadOf } from '../measure/statistics.js';
import { type QuestionShape, type QuestionSpan, questionShapes, questionsOf } from '../questions/question.js';
import { openSortedParquet } from '../systems/sorted-parquet.js';
import type { Answerer, RunningSystem, SystemName } from '../systems/system.js';
import type { Lineup } from '../systems/systems.js';
import { checkAgreement, checkTotals } from './agreement.js';
import { spanOf } from './ingest.js';
import type { Progress } from './progress.js';

/** Where the points are when the questions are asked: in flux, settled and merged, or half and half. */
export const queryStates = ['hot', 'mixed', 'settled'] as const;
export type QueryState = (typeof queryStates)[number];

/** What to measure. */
export interface QueryRunOptions {
  /** Of the shape cpu-only. */
  readonly dataset: Dataset;
  readonly lineup: Lineup;
  readonly states: readonly QueryState[];
  /** Shapes to ask; all when empty. */
  readonly shapes: readonly string[];
  readonly rounds: number;
  /** Timed questions a shape and round; a third of it for heavy shapes. */
  readonly questionsPerRound: number;
  readonly connections: number;
  /** How long to wait before each shape for a quiet machine. */
  readonly patienceMs: number;
  readonly progress: Progress;
}

/** Latencies of one shape, from sending the question to having its whole answer. */
export interface QueryFigures {
  readonly system: SystemName;
  readonly state: QueryState;
  readonly shape: string;
  readonly answerBytes: number;
  readonly ms: Spread;
  readonly roundMedians: readonly number[];
  /** Of the server, or of this process for DuckDB in it; far steadier than times on a busy machine. */
  readonly cpuMsPerQuestion: number;
  /** Cores that other work on the machine kept busy while this shape was timed, all systems together. */
  readonly otherCores: number;
}

const agreementQuestions = 3;
const agreementSeed = 11;
const timedSeed = 42;

/** Fills every system, checks that all answer alike, then times one shape after the other, systems taking turns. */
export async function runQuery(options: QueryRunOptions): Promise<QueryFigures[]> {
  const figures: QueryFigures[] = [];
  for (const state of options.states) {
    const systems = await openAll(options, state);
    try {
      figures.push(...(await measureAll(systems, state, options)));
    } finally {
      await Promise.all(systems.map((system) => system.stop()));
    }
  }
  return figures;
}

async function openAll(options: QueryRunOptions, state: QueryState): Promise<readonly Answerer[]> {
  const { lineup, dataset, progress } = options;
  const opened: Answerer[] = [];
  try {
    for (const system of lineup.servers) {
      progress(`${state}: ${system.name} takes ${dataset.lines} lines`);
      const running = await system.start('in flux');
      opened.push(running);
      await fill(running, dataset, state, options.connections);
    }
    // It has one state only: there is no hot tier in a file.
    if (lineup.sortedParquet && state === 'settled') {
      progress('settled: DuckDB writes its sorted file');
      opened.push(await openSortedParquet(cpuOptionsOf(dataset)));
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((system) => system.stop()));
    throw error;
  }
}

async function fill(
  system: RunningSystem,
  dataset: Dataset,
  state: QueryState,
  connections: number,
): Promise<void> {
  const bodies = dataset.passes.flatMap((pass) => pass.bodies);
  const half = Math.ceil(bodies.length / 2);
  const parts = state === 'mixed' ? [bodies.slice(0, half), bodies.slice(half)] : [bodies];
  for (const [index, part] of parts.entries()) {
    await load(system.write, dataset, part, { connections });
    if (state === 'hot' || index === 1) continue;
    await system.settle();
    await system.merge();
  }
  checkTotals(system.name, dataset.totals, await system.totals(dataset.tables, spanOf(dataset)));
}

async function measureAll(
  systems: readonly Answerer[],
  state: QueryState,
  options: QueryRunOptions,
): Promise<QueryFigures[]> {
  const figures: QueryFigures[] = [];
  const span = questionSpanOf(options.dataset);
  for (const shape of shapesNamed(options.shapes)) {
    options.progress(`${state}: ${shape.name}`);
    await checkAgreement(systems, questionsOf(shape, span, agreementQuestions, agreementSeed));
    figures.push(...(await timeShape(systems, state, shape, span, options)));
  }
  return figures;
}

async function timeShape(
  systems: readonly Answerer[],
  state: QueryState,
  shape: QuestionShape,
  span: QuestionSpan,
  { rounds, questionsPerRound, patienceMs }: QueryRunOptions,
): Promise<QueryFigures[]> {
  const count = shape.heavy ? Math.max(1, Math.ceil(questionsPerRound / 3)) : questionsPerRound;
  const able = systems.filter((system) =>
    questionsOf(shape, span, 1, timedSeed).every((q) => system.canAsk(q)),
  );
  const timed = able.map((system) => ({ system, rounds: [] as number[][], answerBytes: 0, cpuSeconds: 0 }));
  await untilQuiet(patienceMs);
  // This process is counted already; DuckDB in it must not be counted twice.
  const servers = able.filter(({ name }) => name !== 'sorted-parquet');
  const others = watchOtherWork(() => servers.reduce((sum, system) => sum + system.cpuSeconds(), 0));
  for (let round = 0; round < rounds; round++) {
    const questions = questionsOf(shape, span, count, timedSeed + round);
    for (const each of timed) {
      const millis: number[] = [];
      const cpuBefore = each.system.cpuSeconds();
      for (const question of questions) {
        const startMs = performance.now();
        each.answerBytes = (await each.system.ask(question)).bytes;
        millis.push(performance.now() - startMs);
      }
      each.rounds.push(millis);
      each.cpuSeconds += each.system.cpuSeconds() - cpuBefore;
    }
  }
  const otherCores = others.cores();
  return timed.map(({ system, rounds: measured, answerBytes, cpuSeconds }) => ({
    system: system.name,
    state,
    shape: shape.name,
    answerBytes,
    ms: spreadOf(measured.flat()),
    roundMedians: measured.map((millis) => spreadOf(millis).median),
    cpuMsPerQuestion: (cpuSeconds * 1000) / (count * rounds),
    otherCores,
  }));
}

/** The shapes of those names; all for none. */
export function shapesNamed(names: readonly string[]): readonly QuestionShape[] {
  if (names.length === 0) return questionShapes;
  return names.map((name) => {
    const shape = questionShapes.find((candidate) => candidate.name === name);
    if (shape !== undefined) return shape;
    throw new Error(
      `shapes: got "${name}"; want some of ${questionShapes.map((each) => each.name).join(', ')}`,
    );
  });
}

/** What questions about the dataset may ask. */
export function questionSpanOf(dataset: Dataset): QuestionSpan {
  const { fromMs, toMs } = spanOf(dataset);
  return { from: fromMs / 1000, to: toMs / 1000, hosts: dataset.options.hosts, table: 'cpu' };
}

function cpuOptionsOf({ options }: Dataset): CpuOnlyOptions {
  const { hosts, kind, seed, startMs, stepMs, steps } = options;
  return { hosts, kind, seed, startMs, stepMs, steps };
}
