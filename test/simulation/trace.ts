import { createHash } from 'node:crypto';
import type { Timeline } from './timeline.js';

/** What happened, in order. Two runs of one seed have the same trace, byte for byte. */
export class Trace {
  readonly #timeline: Timeline;
  readonly #lines: string[] = [];
  readonly #counts = new Map<string, number>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  note(text: string): void {
    this.#lines.push(`${(this.#timeline.nowMs / 1000).toFixed(4)} ${text}`);
  }

  /** Counts something, to tell what a run has been through. */
  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  /** How often each thing was counted. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  get length(): number {
    return this.#lines.length;
  }

  /** The last `count` lines. */
  tail(count: number): string[] {
    return this.#lines.slice(-count);
  }

  /** Lines in which `text` occurs, the last `count` of them. */
  about(text: string, count: number): string[] {
    return this.#lines.filter((line) => line.includes(text)).slice(-count);
  }

  /** Hex of a hash over every line. */
  hash(): string {
    const hash = createHash('sha256');
    for (const line of this.#lines) hash.update(line).update('\n');
    return hash.digest('hex').slice(0, 16);
  }
}
