/** What repair tells of its work. */
export interface RepairMetrics {
  /** A round over groups in flux ended. Shards by how they stood when they were compared. */
  round(round: RepairRound): void;
  /** Batches were fetched from another owner. */
  fetched(batches: number, bytes: number): void;
  /** Batches whose bytes on this disk were damaged were written anew. */
  replaced(batches: number): void;
  /** Another owner could not be asked, or a batch could not be fetched; the next round tries again. */
  failed(): void;
}

/** What a round found. */
export interface RepairRound {
  readonly groups: number;
  /** Lacked batches, none of them for longer than the grace: not yet replicated. */
  readonly young: number;
  /** Lacked batches for longer: diverged. */
  readonly diverged: number;
  /** Held other bytes than another owner under the same ids. */
  readonly conflicting: number;
  readonly seconds: number;
}

/** Metrics that go nowhere. */
export const noRepairMetrics: RepairMetrics = { round() {}, fetched() {}, replaced() {}, failed() {} };
