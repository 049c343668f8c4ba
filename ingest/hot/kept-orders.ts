import type { Chunk } from './chunk.js';
import type { HotGroup } from './hot-group.js';
import type { RowOrder } from './row-order.js';

/** Chunks of fewer rows are read as fast without an order. */
export const orderedRowsMin = 16_384;
/** A scan makes an order only where it costs one part in so many of what that costs: a short one would wait long. */
const longScanShare = 4;

interface KeptOrder {
  readonly group: HotGroup;
  readonly order: RowOrder;
}

/**
 * The orders of chunks that are read again and again, least recently used out first. One is made when what scans of a
 * chunk have cost since the last one comes to what making it costs: a chunk that is read once, as for
 * sealing, keeps none, and none is made anew for every batch that comes. Only a long scan makes one.
 */
export class KeptOrders {
  readonly #bytesMax: number;
  readonly #rowsMin: number;
  readonly #kept = new Map<Chunk, KeptOrder>();
  /** Rows read by scans of a chunk since its order was made. */
  readonly #spent = new WeakMap<Chunk, number>();
  #bytes = 0;

  /**
   * @param bytesMax bytes that all orders may hold
   * @param rowsMin rows of the smallest chunk of which an order is kept
   */
  constructor(bytesMax: number, rowsMin: number) {
    this.#bytesMax = bytesMax;
    this.#rowsMin = rowsMin;
  }

  /** Bytes that the orders hold. */
  get bytes(): number {
    return this.#bytes;
  }

  of(chunk: Chunk): RowOrder | undefined {
    const kept = this.#kept.get(chunk);
    if (kept === undefined) return undefined;
    this.#kept.delete(chunk);
    this.#kept.set(chunk, kept);
    return kept.order;
  }

  /** Counts what a scan costs, in rows; true when it is time to make an order of the chunk's first `rowCount` rows. */
  spend(chunk: Chunk, rows: number, rowCount: number): boolean {
    const spent = this.#spent.get(chunk) ?? 0;
    this.#spent.set(chunk, spent + rows);
    return rowCount >= this.#rowsMin && spent >= rowCount && rows * longScanShare >= rowCount;
  }

  /** Keeps an order of a chunk of the group in place of the one there was; not one that is larger than all may be. */
  keep(group: HotGroup, chunk: Chunk, order: RowOrder): void {
    const known = this.#kept.get(chunk);
    // A scan that began earlier may end later.
    if (known !== undefined && known.order.rowCount >= order.rowCount) return;
    this.#spent.set(chunk, 0);
    this.#forget(chunk);
    this.#kept.set(chunk, { group, order });
    this.#bytes += order.bytes;
    this.shrinkTo(this.#bytesMax);
  }

  /** Lets go of the orders of the group's chunks. */
  forgetGroup(group: HotGroup): void {
    for (const [chunk, kept] of this.#kept) if (kept.group === group) this.#forget(chunk);
  }

  /** Lets go of orders until the others hold no more than so many bytes. */
  shrinkTo(bytesMax: number): void {
    if (this.#bytes <= bytesMax) return;
    for (const chunk of this.#kept.keys()) {
      this.#forget(chunk);
      if (this.#bytes <= bytesMax) return;
    }
  }

  #forget(chunk: Chunk): void {
    this.#bytes -= this.#kept.get(chunk)?.order.bytes ?? 0;
    this.#kept.delete(chunk);
  }
}
