import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import {
  corpusNotice,
  corpusPresent,
  corpusText,
  mergePoints,
  type ReadPoint,
  readPlainLines,
} from '../support/corpus.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

const db = 'corpus';
/** Nothing closes by itself, so that a test decides what is hot and what is settled. */
const slowSpans = ['--late-delay', '2h', '--release-grace', '200ms', '--log-level', 'warn'];

interface Corpus {
  readonly path: string;
  readonly precision: 'nanosecond' | 'second';
  /** Nanoseconds a unit of the file's times. */
  readonly unitNs: bigint;
}

const corpora: readonly Corpus[] = [
  { path: 'nab/nab.lp.gz', precision: 'second', unitNs: 1_000_000_000n },
  { path: 'tsbs/cpu-only_s123_h10_1d_10s.lp.gz', precision: 'nanosecond', unitNs: 1n },
  { path: 'tsbs/iot_s123_t10_1d_10s.lp.gz', precision: 'nanosecond', unitNs: 1n },
];

/** Fisher–Yates with a seed. */
function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as Item, copy[i] as Item];
  }
  return copy;
}

async function writeAll(server: TestServer, lines: readonly string[], precision: string): Promise<void> {
  for (let at = 0; at < lines.length; at += 20_000) {
    await writeLines(server.client, db, lines.slice(at, at + 20_000).join('\n'), precision);
  }
}

/** A stored value as the line had it: numbers by value, strings by text. */
function sameValue(stored: unknown, written: string): boolean {
  if (written.startsWith('"')) return stored === written.slice(1, -1);
  if (/^(t|T|true|True|TRUE)$/.test(written)) return stored === true;
  if (/^(f|F|false|False|FALSE)$/.test(written)) return stored === false;
  return Number(stored) === Number(written.replace(/[iu]$/, ''));
}

/** Every difference between a table as answered and as the file has it, point by point and field by field. */
async function differences(
  server: TestServer,
  corpus: Corpus,
  table: string,
  want: ReadonlyMap<string, ReadPoint>,
  tier: 'all' | 'settled',
): Promise<string[]> {
  const rows = await queryRows(server.client, db, `SELECT *, epoch_ns(time)::VARCHAR AS ns FROM "${table}"`, {
    tier,
  });
  const tagNames = new Set(
    [...want.values()].flatMap((point) => point.tags.map((tag) => tag.slice(0, tag.indexOf('=')))),
  );
  const problems: string[] =
    rows.length === want.size ? [] : [`${table} ${tier}: got ${rows.length} points; want ${want.size}`];
  const seen = new Set<string>();
  for (const row of rows) {
    const tags = Object.entries(row)
      .filter(([name, value]) => tagNames.has(name) && value !== null)
      .map(([name, value]) => `${name}=${String(value)}`)
      .sort();
    const key = `${tags.join(',')} ${BigInt(String(row['ns'])) / corpus.unitNs}`;
    const point = want.get(key);
    if (point === undefined || seen.has(key)) {
      problems.push(`${table} ${tier}: ${point === undefined ? 'never written' : 'twice'}: ${key}`);
      continue;
    }
    seen.add(key);
    for (const [name, value] of Object.entries(row)) {
      if (name === 'time' || name === 'ns' || tagNames.has(name)) continue;
      const written = point.fields.get(name);
      if (written === undefined ? value !== null : !sameValue(value, written)) {
        problems.push(`${table} ${tier}: ${key} ${name}: got ${String(value)}; want ${written ?? 'nothing'}`);
      }
    }
  }
  return problems.slice(0, 10);
}

/** Counts, sums, minima and maxima of numeric fields, asked in SQL and reckoned from the file. */
async function aggregateDifferences(
  server: TestServer,
  table: string,
  want: ReadonlyMap<string, ReadPoint>,
): Promise<string[]> {
  const points = [...want.values()];
  const names = [...new Set(points.flatMap((point) => [...point.fields.keys()]))];
  const numeric = names.filter((name) =>
    points.every((point) => !/^["tTfF]/.test(point.fields.get(name) ?? '0')),
  );
  const selects = numeric.flatMap((name) =>
    ['count', 'sum', 'min', 'max'].map((call) => `${call}("${name}")::DOUBLE AS "${call} ${name}"`),
  );
  const [row] = await queryRows(server.client, db, `SELECT ${selects.join(', ')} FROM "${table}"`);
  return numeric.flatMap((name) => {
    const values = points.flatMap((point) => {
      const value = point.fields.get(name);
      return value === undefined ? [] : [Number(value.replace(/[iu]$/, ''))];
    });
    const sum = values.reduce((total, value) => total + value, 0);
    const bounds = values.reduce(
      (range, value) => [Math.min(range[0], value), Math.max(range[1], value)] as [number, number],
      [Infinity, -Infinity] as [number, number],
    );
    const wants: Record<string, number> = { count: values.length, sum, min: bounds[0], max: bounds[1] };
    return Object.entries(wants).flatMap(([call, expected]) => {
      const got = Number(row?.[`${call} ${name}`]);
      return Math.abs(got - expected) <= Math.abs(expected) * 1e-9
        ? []
        : [`${table} ${call}(${name}): got ${got}; want ${expected}`];
    });
  });
}

describe.skipIf(!corpusPresent).each(corpora)(`real input $path${corpusNotice}`, (corpus) => {
  let dataDir = '';
  let server: TestServer;
  let tables: Map<string, Map<string, ReadPoint>>;
  let lines: string[];

  beforeAll(async () => {
    dataDir = makeDataDir();
    lines = corpusText(corpus.path)
      .split('\n')
      .filter((line) => line !== '');
    tables = mergePoints(readPlainLines(lines.join('\n')));
    server = await startTestServer({ dataDir, flags: slowSpans });
  });
  afterAll(async () => {
    await server.kill();
    removeDataDir(dataDir);
  });

  const checkAll = async (tier: 'all' | 'settled'): Promise<string[]> => {
    const problems: string[] = [];
    for (const [table, want] of tables)
      problems.push(...(await differences(server, corpus, table, want, tier)));
    return problems;
  };

  it('is answered point by point from the hot tier, from both tiers after a kill, and from history', async () => {
    const half = Math.floor(lines.length / 2);
    await writeAll(server, lines.slice(0, half), corpus.precision);
    await server.kill('SIGKILL');
    server = await startTestServer({ dataDir, flags: slowSpans });
    await writeAll(server, lines.slice(half), corpus.precision);
    expect(await checkAll('all')).toEqual([]);
    for (const [table, want] of tables) expect(await aggregateDifferences(server, table, want)).toEqual([]);

    await sealAll(server.client, db);
    expect(await checkAll('settled')).toEqual([]);
    for (const [table, want] of tables) expect(await aggregateDifferences(server, table, want)).toEqual([]);
  });

  it('stays as it is when it is sent again, shuffled and in part twice, hot over settled and after merging', async () => {
    const random = new SeededRandom(7);
    // A point that the file has more than once keeps its order, so that the later line still wins.
    const unique = new Set(
      [...tables.values()]
        .flatMap((points) => [...points.values()])
        .map((point) => `${point.table},${point.tags.join(',')} ${point.time}`),
    );
    const again =
      unique.size === lines.length
        ? shuffled([...lines, ...lines.slice(0, 5000)], random)
        : [...lines, ...lines];
    await writeAll(server, again.slice(0, Math.floor(again.length / 2)), corpus.precision);
    expect(await checkAll('all')).toEqual([]);
    await writeAll(server, again.slice(Math.floor(again.length / 2)), corpus.precision);
    await sealAll(server.client, db);
    expect(await checkAll('all')).toEqual([]);
    await server.client.json('/api/v1/compact', { method: 'POST', body: { db } });
    expect(await checkAll('settled')).toEqual([]);
    const verified = (await server.client.json('/api/v1/verify', { query: { db } })) as {
      differences: unknown[];
    };
    expect(verified.differences).toEqual([]);
  });

  it('makes few files, and external readers would see each point once after merging', async () => {
    const settled = (await server.client.json('/api/v1/settled', { query: { db } })) as {
      tables: readonly { table: string; files: number; rows: number }[];
    };
    const files = settled.tables.reduce((sum, table) => sum + table.files, 0);
    expect(files).toBeLessThanOrEqual(tables.size * 3);
    for (const { table, rows } of settled.tables)
      expect([table, rows]).toEqual([table, tables.get(table)?.size]);
  });
});
