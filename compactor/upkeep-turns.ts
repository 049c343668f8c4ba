import type { TableRecord } from '../core/catalog/types.js';

/** Which tables are due for a look: those whose history changed since the last one, and all others now and then. */
export class UpkeepTurns {
  readonly #idleMs: number;
  readonly #looked = new Map<string, { readonly snapshotId: string | null; readonly atMs: number }>();

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  isDue(record: TableRecord, nowMs: number): boolean {
    const last = this.#looked.get(record.tableUuid);
    return last === undefined || last.snapshotId !== record.snapshotId || nowMs - last.atMs >= this.#idleMs;
  }

  /** `record`: as the look left it. */
  done(record: TableRecord, nowMs: number): void {
    this.#looked.set(record.tableUuid, { snapshotId: record.snapshotId, atMs: nowMs });
  }
}
