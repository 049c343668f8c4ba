import type { FieldTotals, TableShape } from '../generate/point-stream.js';
import type { WriteTarget } from '../measure/load.js';
import type { Answer } from '../questions/answer.js';
import type { Question } from '../questions/question.js';

/** The systems that the bench knows. */
export const systemNames = ['varve', 'influxdb', 'victoria-metrics', 'sorted-parquet'] as const;
export type SystemName = (typeof systemNames)[number];

/** An answer as it came, whole, and a way to read it once the clock has stopped. */
export interface RawAnswer {
  readonly bytes: number;
  read(): Answer | Promise<Answer>;
}

/** What answers questions. */
export interface Answerer {
  readonly name: SystemName;
  /** True where the system has a question of that kind. */
  canAsk(question: Question): boolean;
  /** Asks and takes in the whole answer. */
  ask(question: Question): Promise<RawAnswer>;
  /** CPU seconds that it has used so far. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

/** Bytes on disk. */
export interface DiskBytes {
  readonly data: number;
  /** What is needed beside the data: indexes, metadata. */
  readonly index: number;
}

/** A database with a process of its own that takes lines. */
export interface RunningSystem extends Answerer {
  readonly write: WriteTarget;
  /** Resolves once all points are where they stay: sealed, or flushed out of log and memory. */
  settle(): Promise<void>;
  /** Resolves once what is settled has been merged as far as the system does it. */
  merge(): Promise<void>;
  /** The totals of the fields of the tables over all points, in any order. */
  totals(tables: readonly TableShape[], span: { fromMs: number; toMs: number }): Promise<FieldTotals[]>;
  peakBytes(): number;
  diskBytes(): Promise<DiskBytes>;
}

/** How a system is to keep points that are not settled yet. */
export type Keeping =
  /** As installed. */
  | 'default'
  /** In flux until `settle` is called. Only Varve tells the difference. */
  | 'in flux';

/** A system that can be started with nothing in it. */
export interface System {
  readonly name: SystemName;
  /** Where points are when they are acknowledged, for the report. */
  readonly acknowledged: string;
  /** Undefined where it is not installed. */
  version(): string | undefined;
  start(keeping: Keeping): Promise<RunningSystem>;
}
