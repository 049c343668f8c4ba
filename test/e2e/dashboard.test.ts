import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { root } from '../rules/source-files.js';
import { clusterSecret } from '../support/peer-server.js';
import { makeDataDir, removeDataDir, startTestProcess, type TestProcess } from '../support/server-process.js';

const folder = makeDataDir();
const running: TestProcess[] = [];
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  removeDataDir(folder);
});

/** Names of the families on a page of metrics, those without a sample too. */
function familiesOf(page: string): string[] {
  return [...page.matchAll(/^# TYPE (\S+) \S+$/gm)].map(([, name = '']) => name);
}

it('every metric that the dashboard shows is one that a process exports', async () => {
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
  const shared = [
    ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
    ...['--log-level', 'error'],
  ];
  const history = ['--object-store', `file:${join(folder, 'objects')}`];
  const flags = {
    ingest: ['--data-dir', join(folder, 'ingest'), '--peer-port', '0'],
    compactor: history,
    query: [...history, '--cache-dir', join(folder, 'cache')],
  };
  const exported = new Set<string>();
  for (const command of ['ingest', 'compactor', 'query'] as const) {
    const started = await startTestProcess({ command, flags: [...shared, ...flags[command]] });
    running.push(started);
    const page = await (await started.client.request('/metrics')).text();
    for (const family of familiesOf(page)) exported.add(family);
  }
  const { panels } = JSON.parse(
    readFileSync(join(root, 'localstack/grafana/dashboards/varve.json'), 'utf8'),
  ) as { panels: { title: string; targets: { expr: string }[] }[] };
  const shown = panels.flatMap(({ targets }) =>
    targets.flatMap(({ expr }) => expr.match(/varve_[a-z_]+/g) ?? []),
  );
  expect(shown.length).toBeGreaterThan(20);
  expect(shown.filter((name) => !exported.has(name.replace(/_bucket$/, '')))).toEqual([]);
  for (const part of ['varve_hint', 'varve_replication', 'varve_repair'])
    expect(shown.some((name) => name.startsWith(part))).toBe(true);
}, 60_000);
