import { normalizeSequenceRanges, subtractSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';

interface Cohort {
  readonly sinceMs: number;
  readonly ranges: readonly SequenceRange[];
}

/**
 * Since when batches are known to be missing, shard by shard. What was not missing for the grace is on its way: the
 * coordinator has sent it to other owners first, or keeps a hint. By this node's own watch, so no clock has to agree with
 * another; at the cost of one grace after a start. Holds only shards that differ now.
 */
export class MissingSince {
  readonly #graceMs: number;
  #shards = new Map<string, readonly Cohort[]>();
  #next = new Map<string, readonly Cohort[]>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Notes what a shard lacks now; of that, what it has lacked for the grace. */
  note(shard: string, lacking: readonly SequenceRange[], nowMs: number): readonly SequenceRange[] {
    const cohorts: Cohort[] = [];
    let news: readonly SequenceRange[] = lacking;
    for (const { sinceMs, ranges } of this.#shards.get(shard) ?? []) {
      const without = subtractSequenceRanges(news, ranges);
      const still = subtractSequenceRanges(news, without);
      news = without;
      if (still.length > 0) cohorts.push({ sinceMs, ranges: still });
    }
    if (news.length > 0) cohorts.push({ sinceMs: nowMs, ranges: news });
    this.#next.set(shard, cohorts);
    const ripe = cohorts.filter(({ sinceMs }) => nowMs - sinceMs >= this.#graceMs);
    return normalizeSequenceRanges(ripe.flatMap(({ ranges }) => ranges));
  }

  /** A round is over: shards that were not noted in it differ no more, or are gone. */
  endRound(): void {
    this.#shards = this.#next;
    this.#next = new Map();
  }
}
