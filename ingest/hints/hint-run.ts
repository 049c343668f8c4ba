import type { NodeId } from '../../core/model/batch.js';
import type { HintEntry } from './hint-format.js';

/** Where a hint lies, and since when. */
export interface HintPlace {
  /** Number of the segment. */
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
  /** Whole seconds since the epoch. */
  readonly keptSeconds: number;
}

/** waiting: to be sent. taken: it is being sent. refused: its owner would refuse it at any time. */
export type HintState = 'waiting' | 'taken' | 'refused';

const hashBytes = 16;
const firstCapacity = 4;
const gone = 0;
const states: readonly HintState[] = ['waiting', 'taken', 'refused'];

/**
 * The hints of one shard, origin and epoch in order of sequence: parallel arrays, 41 bytes a hint, at most twice that
 * with what the arrays keep spare and what has gone. Places in the arrays change: hints are named by their sequence.
 */
export class HintRun {
  readonly shard: number;
  readonly origin: NodeId;
  readonly epoch: number;
  #used = 0;
  #count = 0;
  /** No hint before this place waits. */
  #next = 0;
  #sequences = new Float64Array(firstCapacity);
  #segments = new Uint32Array(firstCapacity);
  #offsets = new Uint32Array(firstCapacity);
  #lengths = new Uint32Array(firstCapacity);
  #keptSeconds = new Uint32Array(firstCapacity);
  #states = new Uint8Array(firstCapacity);
  #hashes = new Uint8Array(firstCapacity * hashBytes);

  constructor(shard: number, origin: NodeId, epoch: number) {
    this.shard = shard;
    this.origin = origin;
    this.epoch = epoch;
  }

  /** Hints held, whatever their state. */
  get count(): number {
    return this.#count;
  }

  /** Adds a hint that is not held. They come mostly in order: then nothing moves. */
  add({ id, hash, offset, length }: Omit<HintEntry, 'checksum'>, segment: number, keptSeconds: number): void {
    if (this.#used === this.#sequences.length) this.#resize(Math.ceil(this.#used * 1.5));
    const at = this.#firstAtOrAfter(id.sequence);
    if (at < this.#used) this.#move(at, at + 1, this.#used);
    this.#sequences[at] = id.sequence;
    this.#segments[at] = segment;
    this.#offsets[at] = offset;
    this.#lengths[at] = length;
    this.#keptSeconds[at] = keptSeconds;
    this.#hashes.set(hash, at * hashBytes);
    this.#used += 1;
    this.#count += 1;
    this.#setState(at, 'waiting');
  }

  has(sequence: number): boolean {
    return this.#find(sequence) >= 0;
  }

  /** The sequence of a hint that waits, which is taken from then on. */
  take(): number | undefined {
    while (this.#next < this.#used && this.#stateAt(this.#next) !== 'waiting') this.#next += 1;
    if (this.#next === this.#used) return undefined;
    this.#setState(this.#next, 'taken');
    return this.#sequences[this.#next];
  }

  /** A hint that is held goes over to a state. */
  set(sequence: number, state: HintState): void {
    const at = this.#find(sequence);
    if (at >= 0) this.#setState(at, state);
  }

  /** All hints in that state go over to another. */
  setAll(from: HintState, to: HintState): void {
    for (let at = 0; at < this.#used; at++) if (this.#stateAt(at) === from) this.#setState(at, to);
  }

  state(sequence: number): HintState | undefined {
    const at = this.#find(sequence);
    return at < 0 ? undefined : this.#stateAt(at);
  }

  place(sequence: number): HintPlace | undefined {
    const at = this.#find(sequence);
    if (at < 0) return undefined;
    return {
      segment: this.#segments[at]!,
      offset: this.#offsets[at]!,
      length: this.#lengths[at]!,
      keptSeconds: this.#keptSeconds[at]!,
    };
  }

  hash(sequence: number): Uint8Array {
    const at = this.#find(sequence);
    return this.#hashes.slice(at * hashBytes, (at + 1) * hashBytes);
  }

  /** Forgets a hint. */
  remove(sequence: number): void {
    const at = this.#find(sequence);
    if (at < 0) return;
    this.#states[at] = gone;
    this.#count -= 1;
    if (this.#used - this.#count > firstCapacity + this.#used / 4) this.#compact();
  }

  /** Sequences of the hints held, ascending; those removed meanwhile are left out. */
  sequences(): Float64Array {
    const held = new Float64Array(this.#count);
    let count = 0;
    for (let at = 0; at < this.#used; at++) {
      if (this.#states[at] !== gone) held[count++] = this.#sequences[at]!;
    }
    return held;
  }

  /** How many hints are in that state. */
  countIn(state: HintState): number {
    const wanted = states.indexOf(state) + 1;
    let count = 0;
    for (let at = 0; at < this.#used; at++) if (this.#states[at] === wanted) count += 1;
    return count;
  }

  /** When the oldest hint came. */
  oldestSeconds(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#used; at++) {
      if (this.#states[at] !== gone && this.#keptSeconds[at]! < oldest) oldest = this.#keptSeconds[at]!;
    }
    return oldest;
  }

  #stateAt(at: number): HintState | undefined {
    return states[this.#states[at]! - 1];
  }

  #setState(at: number, state: HintState): void {
    this.#states[at] = states.indexOf(state) + 1;
    if (state === 'waiting') this.#next = Math.min(this.#next, at);
  }

  #find(sequence: number): number {
    for (let at = this.#firstAtOrAfter(sequence); this.#sequences[at] === sequence && at < this.#used; at++) {
      if (this.#states[at] !== gone) return at;
    }
    return -1;
  }

  #firstAtOrAfter(sequence: number): number {
    let low = 0;
    let high = this.#used;
    if (high === 0 || this.#sequences[high - 1]! < sequence) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sequences[middle]! < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Closes the gaps of hints that have gone. */
  #compact(): void {
    let into = 0;
    for (let at = 0; at < this.#used; at++) {
      if (this.#states[at] === gone) continue;
      if (into < at) this.#move(at, into, at + 1);
      into += 1;
    }
    this.#used = into;
    this.#next = 0;
    this.#resize(Math.max(firstCapacity, Math.ceil(into * 1.25)));
  }

  /** Moves the places [from, end) so that they begin at `to`. */
  #move(from: number, to: number, end: number): void {
    const columns = [this.#sequences, this.#segments, this.#offsets, this.#lengths, this.#keptSeconds];
    for (const column of columns) column.copyWithin(to, from, end);
    this.#states.copyWithin(to, from, end);
    this.#hashes.copyWithin(to * hashBytes, from * hashBytes, end * hashBytes);
  }

  #resize(capacity: number): void {
    const used = this.#used;
    const resized = <A extends Float64Array | Uint32Array | Uint8Array>(into: A, from: A, width = 1): A => {
      into.set(from.subarray(0, used * width));
      return into;
    };
    this.#sequences = resized(new Float64Array(capacity), this.#sequences);
    this.#segments = resized(new Uint32Array(capacity), this.#segments);
    this.#offsets = resized(new Uint32Array(capacity), this.#offsets);
    this.#lengths = resized(new Uint32Array(capacity), this.#lengths);
    this.#keptSeconds = resized(new Uint32Array(capacity), this.#keptSeconds);
    this.#states = resized(new Uint8Array(capacity), this.#states);
    this.#hashes = resized(new Uint8Array(capacity * hashBytes), this.#hashes, hashBytes);
  }
}
