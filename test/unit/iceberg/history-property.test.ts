import fc from 'fast-check';
import { expect, test } from 'vitest';
import { historyRoot } from '../../../core/iceberg/history-root.js';
import type { CommitResult, SettledTables } from '../../../core/iceberg/settled-tables.js';
import type { DataFile, SnapshotFiles, TableChange } from '../../../core/iceberg/types.js';
import { VarveError } from '../../../core/std/errors.js';
import { cpuSchema, database, type Fixture, fixture, group, putRows } from './history-fixture.js';

/**
 * Two compactors seal, merge, remove and expire at random, losing compare-and-sets, answers and races to each other,
 * against a model that holds the live files and their precedence as plain maps.
 */

type Step =
  | {
      readonly kind: 'seal';
      readonly files: readonly number[];
      readonly span: boolean;
      readonly again: boolean;
    }
  | { readonly kind: 'merge'; readonly from: number; readonly count: number; readonly twin: boolean }
  | { readonly kind: 'remove'; readonly which: number }
  | { readonly kind: 'expire'; readonly keep: number }
  | { readonly kind: 'extend' };

type Mishap = 'none' | 'lost' | 'rival' | 'answer-lost' | 'put-refused';

const mishap = fc.constantFrom<Mishap>('none', 'none', 'none', 'lost', 'rival', 'answer-lost', 'put-refused');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('seal' as const),
      // Few different contents, so that the same bytes come again.
      files: fc.uniqueArray(fc.nat(11), { maxLength: 3 }),
      span: fc.boolean(),
      again: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('merge' as const),
      from: fc.nat(20),
      count: fc.integer({ min: 1, max: 4 }),
      twin: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('expire' as const), keep: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'extend' as const }) },
);
const script = fc.array(fc.tuple(step, mishap, fc.boolean()), { minLength: 1, maxLength: 25 });

interface Model {
  /** Data sequence number by content hash. */
  readonly live: Map<string, number>;
  readonly groups: Set<string>;
}

class Run {
  readonly #history: Fixture = fixture({ limits: { smallManifestsMax: 3, entriesMax: 6 } });
  readonly #compactors: readonly [SettledTables, SettledTables];
  readonly #model: Model = { live: new Map(), groups: new Set() };
  /** Every snapshot as it was first read, for ever. */
  readonly #seen = new Map<string, SnapshotFiles>();
  #nextGroup = 1;
  #nextMerge = 100;
  #columns = 0;

  constructor() {
    this.#compactors = [this.#history.another(), this.#history.another()];
  }

  async step(what: Step, accident: Mishap, first: boolean): Promise<void> {
    await this.#history.clock.advance(1000);
    const tables = this.#compactors[first ? 0 : 1];
    switch (what.kind) {
      case 'seal':
        return this.#seal(what, accident, tables);
      case 'merge':
        return this.#merge(what, accident, tables);
      case 'remove':
        return this.#remove(what.which, accident, tables);
      case 'expire':
        return this.#expire(what.keep, tables);
      case 'extend':
        return this.#extend();
    }
  }

  /** The history is what the model says, and every snapshot that is kept is what it was. */
  async check(): Promise<void> {
    const { record } = this.#history.commitPoint;
    const reader = this.#history.another();
    const current = await reader.snapshot(record);
    const found = new Map(current.files.map((file) => [file.contentHash, file.sequence]));
    expect(current.files).toHaveLength(found.size);
    expect(precedence(found)).toEqual(precedence(this.#model.live));
    expect(current.historyRoot).toBe(historyRoot(current.files));
    if (record.historyRoot !== null) expect(record.historyRoot).toBe(current.historyRoot);
    expect(new Set(record.sealedGroups)).toEqual(this.#model.groups);
    for (const line of await reader.history(record)) {
      const snapshot = await reader.snapshot(record, line.snapshotId);
      expect(snapshot.historyRoot).toBe(historyRoot(snapshot.files));
      expect(line).toMatchObject({ fileCount: snapshot.files.length, historyRoot: snapshot.historyRoot });
      expect(byKey(snapshot)).toEqual(byKey(this.#seen.get(line.snapshotId) ?? snapshot));
      if (!this.#seen.has(line.snapshotId)) this.#seen.set(line.snapshotId, snapshot);
    }
    for (const key of await reader.referencedKeys(record)) await this.#history.objects.head(key);
  }

  async #seal(what: Extract<Step, { kind: 'seal' }>, accident: Mishap, tables: SettledTables): Promise<void> {
    const again = what.again && this.#nextGroup > 1;
    const name = group(again ? this.#nextGroup - 1 : this.#nextGroup++);
    const added = await Promise.all(what.files.map((content) => this.#file(content, what.span)));
    const change: TableChange = { kind: 'seal', groups: [name], added };
    const result = await this.#commit(change, accident, tables);
    if (this.#model.groups.has(name)) {
      expect(result.kind).toBe('already');
      return;
    }
    this.#model.groups.add(name);
    const sequence = this.#highest() + 1;
    for (const file of added) this.#model.live.set(file.contentHash, sequence);
  }

  async #merge(
    what: Extract<Step, { kind: 'merge' }>,
    accident: Mishap,
    tables: SettledTables,
  ): Promise<void> {
    const live = (await tables.snapshot(this.#history.commitPoint.record)).files;
    const chosen = rotate(live, what.from).slice(0, what.count);
    if (chosen.length === 0) return;
    // One of the chosen files or, when there are more, one that stays outside.
    const twin = live[(what.from + what.count) % live.length];
    const merged =
      what.twin && twin !== undefined ? { ...twin, sequence: 0 } : await this.#file(this.#nextMerge++, false);
    const sequence = Math.max(...chosen.map((file) => file.sequence));
    const change: TableChange = {
      kind: 'merge',
      removed: chosen.map((file) => file.key),
      added: [merged],
      sequence,
    };
    await this.#commit(change, accident, tables);
    const removed = new Set(chosen.map((file) => file.contentHash));
    const outside = removed.has(merged.contentHash) ? 0 : (this.#model.live.get(merged.contentHash) ?? 0);
    const precedenceOf = Math.max(
      outside,
      ...chosen.map((file) => this.#model.live.get(file.contentHash) ?? 0),
    );
    for (const hash of removed) this.#model.live.delete(hash);
    this.#model.live.set(merged.contentHash, precedenceOf);
  }

  async #remove(which: number, accident: Mishap, tables: SettledTables): Promise<void> {
    const { files } = await tables.snapshot(this.#history.commitPoint.record);
    const file = files[which % Math.max(files.length, 1)];
    if (file === undefined) return;
    await this.#commit({ kind: 'remove', removed: [file.key] }, accident, tables);
    this.#model.live.delete(file.contentHash);
  }

  async #expire(keep: number, tables: SettledTables): Promise<void> {
    const request = { database, table: 'cpu', olderThanMs: 0, snapshotsMax: keep, fencingEpoch: 1 };
    const result = await tables.expire(request);
    if (result.kind !== 'expired') return;
    await this.#history.objects.deleteMany(result.unreferenced);
    const kept = await tables.history(this.#history.commitPoint.record);
    expect(kept).toHaveLength(keep);
    for (const id of result.snapshots) {
      expect(this.#seen.delete(id) || kept.every((line) => line.snapshotId !== id)).toBe(true);
    }
  }

  #extend(): void {
    this.#columns += 1;
    const fieldId = 8 + this.#columns;
    const column = { name: `extra${fieldId}`, kind: 'field', type: 'double', fieldId } as const;
    const { schema } = this.#history.commitPoint.record;
    this.#history.commitPoint.extend({ ...schema, columns: [...schema.columns, column] });
  }

  /** Commits through the mishap, calling again as the compactor would, until the change is there. */
  async #commit(change: TableChange, accident: Mishap, tables: SettledTables): Promise<CommitResult> {
    const { commitPoint, objects } = this.#history;
    const request = { database, table: 'cpu', change, fencingEpoch: 1 };
    const commit = commitPoint.commit.bind(commitPoint);
    const put = objects.put.bind(objects);
    if (accident === 'lost') {
      commitPoint.beforeCommit = () => {
        commitPoint.beforeCommit = () => {};
        commitPoint.touch();
      };
    }
    const rival = tables === this.#compactors[0] ? this.#compactors[1] : this.#compactors[0];
    if (accident === 'rival') {
      commitPoint.commit = async (...change) => {
        commitPoint.commit = commit;
        await rival.commit(request);
        return commit(...change);
      };
    }
    if (accident === 'answer-lost') {
      commitPoint.commit = async (...change) => {
        commitPoint.commit = commit;
        await commit(...change);
        throw new VarveError('unavailable', 'the answer was lost');
      };
    }
    if (accident === 'put-refused') {
      objects.put = async () => {
        objects.put = put;
        throw new VarveError('unavailable', 'the store is away');
      };
    }
    const result = await tables.commit(request).catch(() => tables.commit(request));
    commitPoint.beforeCommit = () => {};
    commitPoint.commit = commit;
    objects.put = put;
    expect(['committed', 'already']).toContain(result.kind);
    return result;
  }

  #file(content: number, span: boolean): Promise<DataFile> {
    const timeNs = BigInt(content) * 43_200_000_000_000n;
    const rows = [{ timeNs, host: `h${content}`, usage: span ? -content : content }];
    return putRows(this.#history.objects, cpuSchema, rows, span ? null : undefined);
  }

  #highest(): number {
    return Math.max(0, ...this.#model.live.values());
  }
}

/** The files in order of precedence, those of equal precedence together: what decides answers. */
function precedence(live: ReadonlyMap<string, number>): string[][] {
  const ranks = [...new Set(live.values())].sort((left, right) => left - right);
  return ranks.map((rank) =>
    [...live]
      .filter(([, sequence]) => sequence === rank)
      .map(([hash]) => hash)
      .sort(),
  );
}

function byKey(snapshot: SnapshotFiles): unknown {
  const files = [...snapshot.files].sort((left, right) => (left.key < right.key ? -1 : 1));
  return { ...snapshot, files };
}

function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

test('no file is lost or doubled, and no snapshot changes, whatever goes wrong', async () => {
  const property = fc.asyncProperty(script, async (steps) => {
    const run = new Run();
    for (const [what, accident, first] of steps) {
      await run.step(what, accident, first);
      await run.check();
    }
  });
  await fc.assert(property, { numRuns: 150 });
});
