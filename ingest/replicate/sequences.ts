/** Sequences a shard takes at a time: what one shard gets lies together, so that sets of them are short ranges. */
const blockLength = 2 ** 20;

/** A shard that took no batch for this long, or twice this, is forgotten: of most groups nobody hears that they closed. */
const keptMs = 3_600_000;

interface Block {
  next: number;
  readonly end: number;
}

/**
 * Hands out batch sequences of one node epoch: unique over all shards, and contiguous within a shard (invariant 3
 * rests on the uniqueness; the record of sealed batches stays small because of the contiguity).
 */
export class Sequences {
  #blocks = new Map<string, Block>();
  /** Those not used since the last turn. */
  #unused = new Map<string, Block>();
  #turnedMs = 0;
  #blocksTaken = 0;

  /** Shards that are remembered. */
  get size(): number {
    return this.#blocks.size + this.#unused.size;
  }

  /** The next sequence for the shard named by `key`, from 1 up. */
  next(key: string, nowMs: number): number {
    if (nowMs - this.#turnedMs >= keptMs) {
      this.#unused = this.#blocks;
      this.#blocks = new Map();
      this.#turnedMs = nowMs;
    }
    let block = this.#blocks.get(key);
    if (block === undefined) {
      block = this.#unused.get(key) ?? this.#newBlock();
      this.#unused.delete(key);
      this.#blocks.set(key, block);
    }
    if (block.next === block.end) {
      block = this.#newBlock();
      this.#blocks.set(key, block);
    }
    const sequence = block.next;
    block.next += 1;
    return sequence;
  }

  /** Forgets a shard that takes no more batches. */
  forget(key: string): void {
    this.#blocks.delete(key);
    this.#unused.delete(key);
  }

  #newBlock(): Block {
    const first = this.#blocksTaken * blockLength + 1;
    this.#blocksTaken += 1;
    return { next: first, end: first + blockLength };
  }
}
