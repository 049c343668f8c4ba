import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GroupId } from '../../core/model/batch.js';
import type { ConflictReader, FieldConflict } from '../../core/ports/conflict-reader.js';
import { database, group, type PlainBatch, type PlainRow } from '../support/naive-hot-tier.js';

/** A hot tier behind the reader under test. */
export interface ConflictReaderFixture {
  readonly reader: ConflictReader;
  apply(batch: PlainBatch): void;
  /** Lets the group go to history: what is remembered of it is kept. */
  settle(): Promise<void>;
  stop(): void;
}

const everything = { database, group, conflictsMax: 1000 };

function batch(sequence: number, rows: readonly PlainRow[], more: Partial<PlainBatch> = {}): PlainBatch {
  return {
    ...{ origin: 'n1', epoch: 1, sequence, stamp: BigInt(sequence), shard: 0, tables: { cpu: rows } },
    ...more,
  };
}

const row = (
  timeNs: bigint,
  fields: PlainRow['fields'],
  tags: PlainRow['tags'] = { host: 'a' },
): PlainRow => ({
  tags,
  timeNs,
  fields,
});

/** A conflict as `table tags time field: value@origin, …`. */
function textOf({ table, tags, timeNs, field, values }: FieldConflict): string {
  const series = tags.map(([name, value]) => `,${name}=${value}`).join('');
  return `${table}${series} ${timeNs} ${field}: ${values.map(({ text, origin }) => `${text}@${origin}`).join(', ')}`;
}

/** What every ConflictReader must do, whatever carries its answers. */
export function conflictReaderConformance(name: string, make: () => ConflictReaderFixture): void {
  describe(`${name} as a ConflictReader`, () => {
    let fixture: ConflictReaderFixture;
    beforeEach(() => {
      fixture = make();
    });
    afterEach(() => fixture.stop());

    const listed = async (more: object = {}): Promise<string[]> =>
      (await fixture.reader.conflicts({ ...everything, ...more })).conflicts.map(textOf);

    it('tells the value that stands first, then the others with who wrote them', async () => {
      fixture.apply(batch(2, [row(5n, { load: 2 })], { origin: 'n2' }));
      fixture.apply(batch(1, [row(5n, { load: 1.5 })]));
      fixture.apply(batch(3, [row(5n, { load: -3e300 })], { origin: 'n3' }));
      expect(await listed()).toEqual(['cpu,host=a 5 load: -3e+300@n3, 2.0@n2, 1.5@n1']);
      const { conflicts, isCut } = await fixture.reader.conflicts(everything);
      expect(isCut).toBe(false);
      expect(conflicts[0]).toMatchObject({ group, shard: 0 });
    });

    it('passes over the same value written again, other fields and other points', async () => {
      fixture.apply(batch(1, [row(5n, { load: 1, note: 'x' }), row(6n, { load: 1 })]));
      fixture.apply(batch(2, [row(5n, { load: 1, up: true })]));
      fixture.apply(batch(3, [row(5n, { load: 2 }, { host: 'b' }), row(4n, { note: 'y' })]));
      expect(await listed()).toEqual([]);
      fixture.apply(batch(4, [row(5n, { load: 1, note: 'z' })]));
      expect(await listed()).toEqual(['cpu,host=a 5 note: z@n1, x@n1']);
    });

    it('finds them within a batch, before 1970 and in every type', async () => {
      const first = {
        load: Number.NaN,
        count: 2n ** 62n,
        total: 2n ** 64n - 1n,
        up: false,
        note: 'a\u0000"é',
      };
      const second = { load: 0, count: -1n, total: 0n, up: true, note: '' };
      fixture.apply(batch(1, [row(-5n, first, {}), row(-5n, second, {})]));
      expect((await listed()).sort()).toEqual([
        `cpu -5 count: -1@n1, ${2n ** 62n}@n1`,
        'cpu -5 load: 0.0@n1, NaN@n1',
        'cpu -5 note: @n1, a\u0000"é@n1',
        `cpu -5 total: 0@n1, ${2n ** 64n - 1n}@n1`,
        'cpu -5 up: true@n1, false@n1',
      ]);
    });

    it('looks at all tables and shards, or at the shards asked for', async () => {
      for (const shard of [0, 1, 2]) {
        const tables = { cpu: [row(1n, { load: 1 })], mem: [row(1n, { load: 1 })] };
        const others = { cpu: [row(1n, { load: 2 })], mem: [row(1n, { load: 2 })] };
        fixture.apply(batch(shard * 2 + 1, [], { shard, tables }));
        fixture.apply(batch(shard * 2 + 2, [], { shard, tables: others }));
      }
      expect(await listed()).toHaveLength(6);
      expect(await listed({ only: [1] })).toHaveLength(2);
      expect(await listed({ only: [] })).toEqual([]);
    });

    it('stops at the limit and says so', async () => {
      const rows = (load: number): PlainRow[] => [1n, 2n, 3n].map((time) => row(time, { load }));
      fixture.apply(batch(1, rows(1)));
      fixture.apply(batch(2, rows(2)));
      const two = await fixture.reader.conflicts({ ...everything, conflictsMax: 2 });
      expect(two).toMatchObject({ isCut: true, conflicts: [{ timeNs: 1n }, { timeNs: 2n }] });
      expect(await fixture.reader.conflicts({ ...everything, conflictsMax: 3 })).toMatchObject({
        isCut: false,
      });
    });

    it('shortens long values and lists', async () => {
      for (let version = 1; version <= 30; version++) {
        fixture.apply(batch(version, [row(1n, { note: `${version}${'x'.repeat(1000)}` })]));
      }
      const [conflict] = (await fixture.reader.conflicts(everything)).conflicts;
      expect(conflict?.values).toHaveLength(16);
      expect(conflict?.values[0]?.text).toMatch(/^30x+…$/);
      expect(conflict?.values[0]?.text).toHaveLength(256);
    });

    it('remembers those of a group that went to history', async () => {
      fixture.apply(batch(1, [row(1n, { load: 1 })]));
      fixture.apply(batch(2, [row(1n, { load: 2 })]));
      const before = await fixture.reader.conflicts(everything);
      await fixture.settle();
      await expect(fixture.reader.conflicts(everything)).rejects.toMatchObject({ kind: 'not-found' });
      expect(await fixture.reader.keptConflicts({ database, conflictsMax: 10 })).toEqual(before);
      const another = await fixture.reader.keptConflicts({ database: 'other', conflictsMax: 10 });
      expect(another).toEqual({ conflicts: [], isCut: false });
    });

    it('remembers so many and no more, and says so', async () => {
      const rows = (load: number): PlainRow[] =>
        Array.from({ length: 1500 }, (_, time) => row(BigInt(time), { load }));
      fixture.apply(batch(1, rows(1)));
      fixture.apply(batch(2, rows(2)));
      await fixture.settle();
      const kept = await fixture.reader.keptConflicts({ database, conflictsMax: 5000 });
      expect(kept.conflicts).toHaveLength(1000);
      expect(kept.isCut).toBe(true);
    });

    it('knows nothing of a group that it never had', async () => {
      const never = { ...everything, group: 'w000000000099' as GroupId };
      expect(await fixture.reader.conflicts(never)).toEqual({ conflicts: [], isCut: false });
    });
  });
}
