import { grow } from './growing-array.js';

/** A set of whole numbers kept as inclusive ranges: numbers that come one after the other cost nothing each. */
export class RangeSet {
  /** First and last of each range, ascending; ranges neither touch nor overlap. */
  #bounds = new Float64Array(4);
  #count = 0;

  /** Number of ranges. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that the array holds. */
  get bytes(): number {
    return this.#bounds.byteLength;
  }

  has(value: number): boolean {
    const at = this.#rangeAtOrBefore(value);
    return at >= 0 && value <= this.#bounds[at * 2 + 1]!;
  }

  /** Adds a number; false when it is in already. */
  add(value: number): boolean {
    const at = this.#rangeAtOrBefore(value);
    if (at >= 0 && value <= this.#bounds[at * 2 + 1]!) return false;
    const joinsLeft = at >= 0 && this.#bounds[at * 2 + 1] === value - 1;
    const joinsRight = at + 1 < this.#count && this.#bounds[at * 2 + 2] === value + 1;
    if (joinsLeft && joinsRight) {
      this.#bounds[at * 2 + 1] = this.#bounds[at * 2 + 3]!;
      this.#bounds.copyWithin(at * 2 + 2, at * 2 + 4, this.#count * 2);
      this.#count -= 1;
    } else if (joinsLeft) this.#bounds[at * 2 + 1] = value;
    else if (joinsRight) this.#bounds[at * 2 + 2] = value;
    else this.#insert(at + 1, value);
    return true;
  }

  /** The ranges, ascending. */
  *ranges(): Generator<{ readonly first: number; readonly last: number }> {
    for (let at = 0; at < this.#count; at++) {
      yield { first: this.#bounds[at * 2]!, last: this.#bounds[at * 2 + 1]! };
    }
  }

  #insert(at: number, value: number): void {
    if (this.#count * 2 === this.#bounds.length) this.#bounds = grow(this.#bounds, this.#count * 2 + 2);
    this.#bounds.copyWithin(at * 2 + 2, at * 2, this.#count * 2);
    this.#bounds[at * 2] = value;
    this.#bounds[at * 2 + 1] = value;
    this.#count += 1;
  }

  /** The last range that begins at or before the value, or -1. */
  #rangeAtOrBefore(value: number): number {
    let low = 0;
    let high = this.#count;
    // Sequences mostly come in order: the answer is the last range then.
    if (high > 0 && this.#bounds[high * 2 - 2]! <= value) return high - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bounds[middle * 2]! <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
