import type { QueryStage } from './query-stages.js';

/** How a query ended. */
export type QueryOutcome = 'answered' | 'not-modified' | 'failed';

/** What the query room lets be seen; the composition root binds it to its metrics. */
export interface QueryMetrics {
  /** From the request to the last byte of the answer, or to its failure. */
  querySeconds(seconds: number, outcome: QueryOutcome): void;
  /** One stage of a query that it came to, whatever became of it. */
  stageSeconds(seconds: number, stage: QueryStage): void;
  cacheHit(bytes: number): void;
  cacheMiss(bytes: number): void;
}

/** Metrics that go nowhere. */
export const noQueryMetrics: QueryMetrics = {
  querySeconds: () => {},
  stageSeconds: () => {},
  cacheHit: () => {},
  cacheMiss: () => {},
};
