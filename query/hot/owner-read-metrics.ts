/** What reading from the owners of a cluster lets be seen; the composition root binds it to its metrics. */
export interface OwnerReadMetrics {
  /** An owner was slow, and another one was asked as well. */
  raced(call: 'describe' | 'conflicts' | 'scan'): void;
  /** An owner failed, and another one answered. */
  failedOver(call: 'describe' | 'conflicts' | 'scan'): void;
  /** A scan ended in its midst: the query is planned again. */
  brokeOff(): void;
  /** For a read an owner fetched so many batches that it lacked. */
  caughtUp(batches: number): void;
  /** A shard was left out of an answer, whose caller is told. */
  incomplete(): void;
}

/** Metrics that go nowhere. */
export const noOwnerReadMetrics: OwnerReadMetrics = {
  raced: () => {},
  failedOver: () => {},
  brokeOff: () => {},
  caughtUp: () => {},
  incomplete: () => {},
};
