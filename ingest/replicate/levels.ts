import type { ConsistencyLevel } from '../../core/catalog/types.js';
import type { NodeId, ShardAddress } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';
import { unreachable } from '../../core/std/assert.js';
import type { ShardOutcome } from '../write-contract.js';

/** How many durable copies a level demands of a shard with `owners` owners. */
export function requiredCopies(level: ConsistencyLevel, owners: number): number {
  switch (level) {
    case 'any':
    case 'one':
      return 1;
    case 'quorum':
      return quorumOf(owners);
    case 'all':
      return owners;
    default:
      return unreachable(level);
  }
}

/** Whether the copies of a shard suffice for its level. A hint is a copy for `any` alone: no owner has it yet. */
export function isLevelMet(
  outcome: Pick<ShardOutcome, 'level' | 'required' | 'acknowledged' | 'hinted'>,
): boolean {
  const hinted = outcome.level === 'any' ? outcome.hinted.length : 0;
  return outcome.acknowledged.length + hinted >= outcome.required;
}

/** What became of a batch at each of its owners, as it becomes known. */
export class CopyTally {
  readonly #level: ConsistencyLevel;
  readonly #required: number;
  readonly #acknowledged: NodeId[] = [];
  readonly #hinted: NodeId[] = [];
  readonly #failed: { readonly node: NodeId; readonly reason: string }[] = [];

  /** @param owners how many the shard has, or should have where that is more */
  constructor(level: ConsistencyLevel, owners: number) {
    this.#level = level;
    this.#required = requiredCopies(level, owners);
  }

  get level(): ConsistencyLevel {
    return this.#level;
  }

  /** The owner has the batch, synced. */
  acknowledged(node: NodeId): void {
    this.#acknowledged.push(node);
  }

  /** The batch is kept here, synced, until the owner can take it. */
  hinted(node: NodeId): void {
    this.#hinted.push(node);
  }

  /** Neither. */
  failed(node: NodeId, reason: string): void {
    this.#failed.push({ node, reason });
  }

  get isMet(): boolean {
    const [level, required] = [this.#level, this.#required];
    return isLevelMet({ level, required, acknowledged: this.#acknowledged, hinted: this.#hinted });
  }

  /** What is known now. */
  outcome({ group, shard }: ShardAddress): ShardOutcome {
    return {
      group,
      shard,
      level: this.#level,
      required: this.#required,
      acknowledged: [...this.#acknowledged],
      hinted: [...this.#hinted],
      failed: [...this.#failed],
    };
  }
}
