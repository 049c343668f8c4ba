import { describe, expect, it } from 'vitest';
import { cpuFields, cpuOnlyStream } from '../../../bench/generate/cpu-only.js';
import { type DatasetOptions, makeDataset, tsbsStartMs } from '../../../bench/generate/dataset.js';
import { cpuSchema, SortedCpuRows } from '../../../bench/generate/sorted-rows.js';
import { shiftTimes } from '../../../bench/measure/shift-times.js';
import { rowLayoutOf } from '../../../compactor/rows/row-layout.js';

const small: DatasetOptions = {
  shape: 'cpu-only',
  hosts: 7,
  steps: 9,
  kind: 'float',
  order: 'time',
  seed: 3,
  linesPerBody: 10,
  startMs: tsbsStartMs,
  stepMs: 10_000,
};

/** All lines of a dataset, read back from its bodies, and its totals. */
async function linesOf(options: DatasetOptions) {
  const dataset = await makeDataset(options);
  const buffer = Buffer.alloc(dataset.largestBody);
  const bodies: string[] = [];
  for (const place of dataset.passes.flatMap((pass) => pass.bodies)) {
    bodies.push((await dataset.read(place, buffer)).toString());
  }
  await dataset.dispose();
  const lines = bodies.flatMap((body) => body.split('\n').slice(0, -1));
  return { dataset, bodies, lines };
}

/** Totals by an independent reading of the lines. */
function totalsByReading(lines: readonly string[]): Map<string, { count: number; sum: number; max: number }> {
  const totals = new Map<string, { count: number; sum: number; max: number }>();
  for (const line of lines) {
    const [key = '', fields = ''] = line.split(' ');
    for (const pair of fields.split(',')) {
      const [field, text = ''] = pair.split('=');
      const value = Number(text.replace('i', ''));
      const name = `${key.split(',')[0]}.${field}`;
      const before = totals.get(name) ?? { count: 0, sum: 0, max: Number.NEGATIVE_INFINITY };
      totals.set(name, {
        count: before.count + 1,
        sum: before.sum + value,
        max: Math.max(before.max, value),
      });
    }
  }
  return totals;
}

describe('generated points', () => {
  it.each(['cpu-only', 'iot', 'cardinality'] as const)(
    '%s: the same seed gives the same lines, another one others',
    async (shape) => {
      const first = await linesOf({ ...small, shape });
      const again = await linesOf({ ...small, shape });
      const other = await linesOf({ ...small, shape, seed: 4 });
      expect(again.lines).toEqual(first.lines);
      expect(other.lines).not.toEqual(first.lines);
    },
  );

  it.each(['cpu-only', 'iot', 'cardinality'] as const)('%s: totals are those of the lines', async (shape) => {
    const { dataset, lines } = await linesOf({ ...small, shape, hosts: 40 });
    const read = totalsByReading(lines);
    expect(read.size).toBe(dataset.totals.length);
    for (const { table, field, count, sum, max } of dataset.totals) {
      const got = read.get(`${table}.${field}`);
      expect(got?.count).toBe(count);
      expect(got?.max).toBe(max);
      expect(got?.sum).toBeCloseTo(sum, 6);
    }
    expect(dataset.samples).toBe([...read.values()].reduce((total, { count }) => total + count, 0));
    expect(dataset.lines).toBe(lines.length);
  });

  it('cpu-only looks like what TSBS writes', async () => {
    const { lines } = await linesOf({ ...small, kind: 'int' });
    expect(lines[0]).toMatch(
      /^cpu,hostname=host_0,region=[a-z0-9-]+,datacenter=[a-z0-9-]+,rack=\d+,os=Ubuntu[\w.]+,arch=x\d\d,team=[A-Z]+,service=\d+,service_version=[01],service_environment=[a-z]+ usage_user=\d+i(,usage_[a-z_]+=\d+i){9} 1451606400000000000$/,
    );
  });

  it('shuffled order keeps every line and changes their order', async () => {
    const inTime = await linesOf(small);
    const shuffled = await linesOf({ ...small, order: 'shuffled' });
    expect(shuffled.lines).not.toEqual(inTime.lines);
    expect([...shuffled.lines].sort()).toEqual([...inTime.lines].sort());
  });

  it('cuts bodies where they are full', async () => {
    const { dataset } = await linesOf(small);
    expect(dataset.passes.flatMap((pass) => pass.bodies.map((body) => body.lines))).toEqual([
      10, 10, 10, 10, 10, 10, 3,
    ]);
  });

  it('high cardinality meets every series once in its first pass', async () => {
    const { dataset, lines } = await linesOf({ ...small, shape: 'cardinality', hosts: 50, steps: 3 });
    expect(
      dataset.passes.map(({ name, bodies }) => [name, bodies.reduce((sum, body) => sum + body.lines, 0)]),
    ).toEqual([
      ['first contact', 50],
      ['known series', 100],
    ]);
    expect(new Set(lines.slice(0, 50).map((line) => line.split(' ')[0])).size).toBe(50);
  });

  it('gives the same points as sorted rows', async () => {
    for (const kind of ['int', 'float'] as const) {
      const options = { ...small, kind };
      const fromLines = [...cpuOnlyStream(options).lines(0)].map((line) => {
        const [, fields = '', time = ''] = line.trim().split(' ');
        return [
          BigInt(time) / 1000n,
          ...fields.split(',').map((pair) => Number(pair.split('=')[1]?.replace('i', ''))),
        ].join(' ');
      });
      const { specs } = rowLayoutOf(cpuSchema(options));
      const fromRows: string[] = [];
      const rows = new SortedCpuRows(options);
      // Two ranges, as days are: walks go on where they were.
      for (const [from, to] of [
        [0, 4],
        [4, 9],
      ] as const) {
        await rows.write(from, to, specs, {
          rowGroup: async (count, columns) => {
            for (let row = 0; row < count; row++) {
              const cells = columns.flatMap((column): (bigint | number | undefined)[] => {
                if (column.kind === 'time') return [column.micros[row]];
                if (column.kind === 'field' && column.type !== 'string') return [Number(column.values[row])];
                return [];
              });
              fromRows.push(cells.join(' '));
            }
          },
        });
      }
      expect(fromRows.sort()).toEqual(fromLines.sort());
    }
  });

  it('walks within 0 to 100', async () => {
    const { dataset } = await linesOf({ ...small, steps: 300 });
    expect(dataset.totals.length).toBe(cpuFields.length);
    for (const { min, max } of dataset.totals) {
      expect(min).toBeGreaterThanOrEqual(0);
      expect(max).toBeLessThanOrEqual(100);
    }
  });
});

describe('shifting times', () => {
  it('moves every line by whole seconds and nothing else', () => {
    const body = Buffer.from('cpu,host=a v=1i 1451606399999000000\ncpu,host=b v=2i 1451606400000000001\n');
    shiftTimes(body, 3601);
    expect(body.toString()).toBe(
      'cpu,host=a v=1i 1451610000999000000\ncpu,host=b v=2i 1451610001000000001\n',
    );
  });

  it('refuses lines without a time', () => {
    expect(() => shiftTimes(Buffer.from('cpu,host=a value=100000000000000000\n'), 1)).toThrow(
      'want 19 digits',
    );
  });
});
