import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FieldTotals, TableShape } from '../generate/point-stream.js';
import { LoopbackClient } from '../measure/http-exchange.js';
import type { Answer } from '../questions/answer.js';
import {
  answerOfInflux,
  influxqlOf,
  influxSeriesOf,
  influxTotalsOf,
  influxTotalsQuery,
} from '../questions/influxql.js';
import type { Question } from '../questions/question.js';
import {
  answersAt,
  type ChildServer,
  folderBytes,
  freePort,
  makeDirectory,
  outputOf,
  startChildServer,
} from './child-server.js';
import type { DiskBytes, RunningSystem, System } from './system.js';

const database = 'bench';

/** InfluxDB 1 as Debian packs it. */
export const influxdb: System = {
  name: 'influxdb',
  acknowledged: 'on disk: fsync of its log',
  version: () => /InfluxDB v?\S+/.exec(outputOf('influxd', ['version']) ?? '')?.[0],
  start: startInfluxdb,
};

/**
 * Defaults, with the limits lifted that the data would meet and the index type that its makers recommend. It
 * flushes and compacts a second or two after the last write instead of hours, which changes nothing under load.
 */
function configuration(directory: string, httpPort: number, rpcPort: number): string {
  return `reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${directory}/meta"
[data]
  dir = "${directory}/data"
  wal-dir = "${directory}/wal"
  index-version = "tsi1"
  cache-max-memory-size = "8g"
  max-series-per-database = 0
  max-values-per-tag = 0
  cache-snapshot-write-cold-duration = "1s"
  compact-full-write-cold-duration = "2s"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${httpPort}"
  log-enabled = false
  max-body-size = 0
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
`;
}

async function startInfluxdb(): Promise<RunningSystem> {
  const directory = makeDirectory('influxdb');
  const port = await freePort();
  const path = join(directory, 'influxdb.conf');
  writeFileSync(path, configuration(directory, port, await freePort()));
  const child = await startChildServer({
    command: 'influxd',
    args: ['-config', path],
    directory,
    ready: () => answersAt(port, '/ping'),
  });
  const system = new InfluxdbUnderTest(child, port);
  await system.query('CREATE DATABASE bench', 'POST');
  return system;
}

class InfluxdbUnderTest implements RunningSystem {
  readonly name = 'influxdb';
  readonly write: RunningSystem['write'];
  readonly #child: ChildServer;
  readonly #client: LoopbackClient;

  constructor(child: ChildServer, port: number) {
    this.#child = child;
    this.#client = new LoopbackClient(port, 2);
    this.write = { port, path: `/write?db=${database}&precision=ns` };
  }

  canAsk(): boolean {
    return true;
  }

  async ask(question: Question): Promise<{ bytes: number; read: () => Answer }> {
    const body = await this.query(influxqlOf(question));
    return { bytes: body.length, read: () => answerOfInflux(question, influxSeriesOf(body)) };
  }

  query(text: string, method: 'GET' | 'POST' = 'GET'): Promise<Buffer> {
    return this.#client.expect({
      method,
      path: `/query?db=${database}&epoch=s&q=${encodeURIComponent(text)}`,
    });
  }

  /** Until the log is empty: all points are in TSM files then. */
  async settle(): Promise<void> {
    while (folderBytes(join(this.#child.directory, 'wal')) > 2 ** 20) await sleep(50);
  }

  /** Until the files have not changed for ten seconds: it tells nobody when it is done. */
  async merge(): Promise<void> {
    let bytes = -1;
    for (let quiet = 0; quiet < 40; quiet++) {
      const now = folderBytes(join(this.#child.directory, 'data'));
      if (now !== bytes) quiet = 0;
      bytes = now;
      await sleep(250);
    }
  }

  async totals(tables: readonly TableShape[]): Promise<FieldTotals[]> {
    const totals: FieldTotals[] = [];
    for (const table of tables) {
      const body = await this.query(influxTotalsQuery(table));
      totals.push(...influxTotalsOf(table, influxSeriesOf(body)));
    }
    return totals;
  }

  cpuSeconds(): number {
    return this.#child.cpuSeconds();
  }

  peakBytes(): number {
    return this.#child.peakBytes();
  }

  /** Everything under `data`; the index of series lies among it. */
  async diskBytes(): Promise<DiskBytes> {
    return { data: folderBytes(join(this.#child.directory, 'data')), index: 0 };
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#child.stop();
  }
}
