import type { ApiClient } from '../client/api-client.js';
import type { Progress } from '../client/progress.js';
import { drawChart } from './chart.js';
import { type AnswerRow, Ledger } from './ledger.js';
import { sampleMachine, toLine } from './machine-metrics.js';
import { type DemoReport, differs } from './report.js';
import { readSettled } from './settled-view.js';

/** What the live demo works with. */
export interface LiveDemoOptions {
  readonly client: ApiClient;
  readonly database: string;
  readonly report: DemoReport;
  readonly progress: Progress;
  /** Samples are taken for so long, one each `sampleEveryMs`. */
  readonly collectMs: number;
  readonly sampleEveryMs: number;
  readonly windowMs: number;
  readonly nowMs: () => number;
  readonly sleep: (delayMs: number) => Promise<void>;
}

/** Writes this machine's own metrics, watches windows settle, asks over both tiers and checks every answer. */
export async function runLiveDemo(options: LiveDemoOptions): Promise<void> {
  const { client, database, report } = options;
  report.step(
    `Writing this machine's metrics every ${options.sampleEveryMs / 1000} s, windows of ${options.windowMs / 1000} s`,
  );
  const ledger = await collect(options);
  report.check(
    `${ledger.size} points of ${ledger.tables().length} tables acknowledged`,
    ledger.size > 0 ? [] : ['nothing was measured'],
  );

  report.step('One SQL over both tiers');
  const settled = await readSettled(client, database);
  report.check(
    'at least two windows settled while writing',
    settled.tables.every((table) => table.rows === 0) ? ['no settled rows'] : [],
  );
  await showBusiestCores(options);
  for (const table of ledger.tables()) {
    const rows = await query(client, database, `SELECT * FROM "${table}"`);
    report.check(
      `${table}: ${rows.length} rows, each exactly as it was sent, once`,
      ledger.differences(table, rows),
    );
  }
  await showChart(options);

  report.step('Settled history is stable');
  await checkStability(options);
  await settleEverything(options, ledger);
}

async function collect(options: LiveDemoOptions): Promise<Ledger> {
  const { client, database, progress } = options;
  const ledger = new Ledger();
  const startedMs = options.nowMs();
  for (let dueMs = startedMs; dueMs < startedMs + options.collectMs; dueMs += options.sampleEveryMs) {
    await options.sleep(Math.max(0, dueMs - options.nowMs()));
    const sample = await sampleMachine(options.nowMs());
    const lines = sample.map(toLine).join('\n');
    await client.request('/api/v3/write_lp', {
      method: 'POST',
      query: { db: database, precision: 'millisecond' },
      body: new TextEncoder().encode(lines),
    });
    ledger.add(sample);
    const settled = await readSettled(client, database);
    const behindSeconds = (options.nowMs() - settled.settledThroughMs) / 1000;
    const rows = settled.tables.reduce((sum, table) => sum + table.rows, 0);
    progress.update(
      options.nowMs() - startedMs,
      options.collectMs,
      `${ledger.size} points sent, ${rows} settled, ${settled.openGroups} groups open, watermark ${behindSeconds.toFixed(0)} s ago`,
    );
  }
  progress.finish();
  return ledger;
}

async function showBusiestCores(options: LiveDemoOptions): Promise<void> {
  const sql =
    'SELECT core, count(*) AS samples, round(avg(usage), 1) AS mean, round(max(usage), 1) AS peak FROM cpu GROUP BY core ORDER BY mean DESC, core LIMIT 5';
  options.report.line(`  ${sql}`);
  const response = await options.client.request('/api/v3/query_sql', {
    query: { db: options.database, q: sql, format: 'pretty' },
  });
  options.report.line(indent(await response.text()));
  options.report.line(
    `  tiers: ${response.headers.get('varve-tiers')}, settled through ${response.headers.get('varve-settled-through')}`,
  );
}

async function showChart(options: LiveDemoOptions): Promise<void> {
  const sql = 'SELECT time, avg(usage) AS usage FROM cpu GROUP BY time ORDER BY time';
  const settledThroughMs = (await readSettled(options.client, options.database)).settledThroughMs;
  const rows = await query(options.client, options.database, sql);
  const points = rows.map((row) => {
    const timeMs = Date.parse(String(row['time']));
    return {
      label: new Date(timeMs).toISOString().slice(11, 19),
      value: Number(row['usage']),
      hot: timeMs >= settledThroughMs,
    };
  });
  options.report.line(drawChart('CPU usage, % (mean over cores)', points, 70));
}

/** The same question about settled data, twice: the second time the server need not answer it again. */
async function checkStability(options: LiveDemoOptions): Promise<void> {
  const { client, database, report } = options;
  const ask = {
    db: database,
    q: 'SELECT count(*) AS points, min(usage) AS least, max(usage) AS most, max(time) AS latest FROM cpu',
    tier: 'settled',
    format: 'json',
  };
  const first = await client.request('/api/v3/query_sql', { query: ask });
  const answer = await first.text();
  const etag = first.headers.get('etag');
  const snapshot = first.headers.get('varve-snapshot') ?? '';
  report.line(`  history root ${first.headers.get('varve-history-root')}`);
  const pinned = { db: database, q: ask.q, format: 'json', snapshot };
  const again = await client.request('/api/v3/query_sql', { query: pinned });
  report.check('the same snapshot gives the same answer', differs('answer', await again.text(), answer));
  const pinnedEtag = again.headers.get('etag');
  const unchanged = await client.request('/api/v3/query_sql', {
    query: pinned,
    headers: { 'if-none-match': pinnedEtag ?? '' },
  });
  report.check('an unchanged history is answered 304', [
    ...differs('ETag present', etag !== null && pinnedEtag !== null, true),
    ...differs('status', unchanged.status, 304),
  ]);
}

async function settleEverything(options: LiveDemoOptions, ledger: Ledger): Promise<void> {
  const { client, database, report } = options;
  const before = new Date(options.nowMs() + options.windowMs * 3).toISOString();
  await client.json('/api/v1/seal', { method: 'POST', body: { db: database, before } });
  for (const table of ledger.tables()) {
    const response = await client.request('/api/v3/query_sql', {
      query: { db: database, q: `SELECT * FROM "${table}"`, tier: 'settled', format: 'json' },
    });
    report.check(
      `${table}: all of it settled, unchanged`,
      ledger.differences(table, (await response.json()) as AnswerRow[]),
    );
  }
  await checkHistory(client, database, report);
}

/** Reads every settled file back and holds it against its hash and the history root. */
export async function checkHistory(client: ApiClient, database: string, report: DemoReport): Promise<void> {
  const verified = (await client.json('/api/v1/verify', { query: { db: database } })) as {
    readonly files: number;
    readonly differences: readonly unknown[];
  };
  report.check(`history verified: ${verified.files} files match their hashes and the history roots`, [
    ...verified.differences.map((difference) => JSON.stringify(difference)),
    ...(verified.files > 0 ? [] : ['no file was read']),
  ]);
}

/** Rows of a query over both tiers. */
export async function query(client: ApiClient, database: string, sql: string): Promise<AnswerRow[]> {
  return (await client.json('/api/v3/query_sql', {
    query: { db: database, q: sql, format: 'json' },
  })) as AnswerRow[];
}

/** Indents every line by two spaces. */
export function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '  ');
}
