/** Happenings closer to one another than this are, so many in a row, a loop that does not wait. */
const creepMs = 0.0005;
const standingMax = 20_000;

/** Something that is to happen at a moment. */
interface Happening {
  readonly dueMs: number;
  /** Breaks ties: what was asked for first happens first. */
  readonly order: number;
  run: (() => void) | undefined;
}

/** Takes back what was to happen. */
export interface Timer {
  cancel(): void;
}

/**
 * Simulated time: a queue of happenings, earliest first. Time moves only from one to the next, and what one sets
 * going has come to rest before the next begins, so the same calls always run in the same order.
 */
export class Timeline {
  readonly #heap: Happening[] = [];
  #nowMs = 0;
  #order = 0;
  /** Happenings in a row between which hardly any time passed. */
  #standing = 0;

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `run` once, `delayMs` from now. */
  after(delayMs: number, run: () => void): Timer {
    const happening: Happening = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(happening);
    return {
      cancel: () => {
        happening.run = undefined;
      },
    };
  }

  /** Resolves `delayMs` from now. */
  pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Lets time pass. */
  async advance(byMs: number): Promise<void> {
    const targetMs = this.#nowMs + byMs;
    for (;;) {
      await comeToRest();
      const next = this.#heap[0];
      if (next === undefined || next.dueMs > targetMs) break;
      this.#pop();
      if (next.run === undefined) continue;
      this.#standing = next.dueMs - this.#nowMs < creepMs ? this.#standing + 1 : 0;
      if (this.#standing > standingMax) {
        throw new Error(
          `time stands still at ${next.dueMs} ms: something waits for no time, again and again`,
        );
      }
      this.#nowMs = next.dueMs;
      next.run();
    }
    this.#nowMs = targetMs;
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let at = heap.push(happening) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent] as Happening, happening)) break;
      heap[at] = heap[parent] as Happening;
      at = parent;
    }
    heap[at] = happening;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Happening)) child += 1;
      if (isBefore(last, heap[child] as Happening)) break;
      heap[at] = heap[child] as Happening;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(left: Happening, right: Happening): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order);
}

/** Every promise that can settle without time passing has settled. */
function comeToRest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
