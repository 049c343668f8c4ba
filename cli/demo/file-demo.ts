import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { ApiClient } from '../client/api-client.js';
import type { Progress } from '../client/progress.js';
import { writeFile } from '../client/write-file.js';
import { checkHistory, indent, query } from './live-demo.js';
import { type DemoReport, differs } from './report.js';

/** What the file demo works with. */
export interface FileDemoOptions {
  readonly client: ApiClient;
  readonly database: string;
  readonly path: string;
  readonly report: DemoReport;
  readonly progress: Progress;
  readonly nowMs: () => number;
  readonly sleep: (delayMs: number) => Promise<void>;
}

/** Loads a file of line protocol, settles it and holds the counts against an independent reading of the file. */
export async function runFileDemo(options: FileDemoOptions): Promise<void> {
  const { client, database, path, report, progress } = options;
  report.step(`Loading ${path}`);
  const startedMs = options.nowMs();
  const written = await writeFile(client, path, {
    database,
    precision: 'auto',
    requestBytes: 1 << 21,
    concurrency: 3,
    retriesMax: 30,
    sleep: options.sleep,
    onProgress: (done, total, lines) => progress.update(done, total, `${lines} lines acknowledged`),
  });
  progress.finish();
  const seconds = (options.nowMs() - startedMs) / 1000;
  report.line(
    `  ${written.linesSent} lines in ${seconds.toFixed(1)} s (${Math.round(written.linesSent / seconds)} a second), acknowledged after sync`,
  );
  report.check(
    'no line rejected',
    written.rejected.map((row) => `line ${row.lineNumber}: ${row.message}`),
  );

  report.step('The same points in both tiers');
  const expected = await distinctPoints(path);
  for (const [table, count] of expected) await checkCount(options, table, count, 'all');
  await client.json('/api/v1/seal', {
    method: 'POST',
    body: { db: database, before: new Date(options.nowMs()).toISOString() },
  });
  for (const [table, count] of expected) await checkCount(options, table, count, 'settled');
  const [largest] = [...expected].sort((left, right) => right[1] - left[1])[0] ?? [];
  if (largest !== undefined) {
    const sql = `SELECT count(*) AS points, min(time) AS first, max(time) AS last FROM "${largest}"`;
    report.line(`  ${sql}`);
    const pretty = await client.request('/api/v3/query_sql', {
      query: { db: database, q: sql, format: 'pretty' },
    });
    report.line(indent(await pretty.text()));
  }
  await checkHistory(client, database, report);
}

async function checkCount(
  options: FileDemoOptions,
  table: string,
  want: number,
  tier: 'all' | 'settled',
): Promise<void> {
  const sql = `SELECT count(*) AS points FROM "${table.replaceAll('"', '""')}"`;
  const rows =
    tier === 'all'
      ? await query(options.client, options.database, sql)
      : ((await options.client.json('/api/v3/query_sql', {
          query: { db: options.database, q: sql, tier, format: 'json' },
        })) as { readonly points: number }[]);
  options.report.check(
    `${table}: ${want} points, tier ${tier}`,
    differs('points', Number(rows[0]?.['points']), want),
  );
}

/** Distinct (series, time) by table, read from the file by splitting lines: no code shared with the server. */
async function distinctPoints(path: string): Promise<Map<string, number>> {
  const file = createReadStream(path);
  const bytes = pipeline(file, path.endsWith('.gz') ? createGunzip() : new PassThrough(), () => {});
  const points = new Map<string, Set<string>>();
  for await (const line of createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const key = /^(?:\\.|[^ ])+/.exec(line)?.[0] ?? '';
    const table = (/^(?:\\.|[^,])+/.exec(key)?.[0] ?? '').replaceAll(/\\([, ])/g, '$1');
    const seen = points.get(table) ?? new Set<string>();
    points.set(table, seen);
    seen.add(`${key} ${line.slice(line.lastIndexOf(' ') + 1)}`);
  }
  return new Map([...points].map(([table, seen]) => [table, seen.size]));
}
