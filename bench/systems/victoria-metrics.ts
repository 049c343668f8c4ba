import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FieldTotals, TableShape } from '../generate/point-stream.js';
import { LoopbackClient } from '../measure/http-exchange.js';
import type { Answer } from '../questions/answer.js';
import { answerOfMetrics, instantPath, metricSeriesOf, metricsqlPath } from '../questions/metricsql.js';
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

/** VictoriaMetrics as Debian packs it. */
export const victoriaMetrics: System = {
  name: 'victoria-metrics',
  acknowledged: 'in memory: it has no log and writes memory out within seconds',
  version: () => {
    if (outputOf('victoria-metrics', ['--version']) === undefined) return undefined;
    // It prints no version of its own; Debian's is beside the name.
    const version = outputOf('dpkg-query', ['-W', 'victoria-metrics'])?.split(/\s/)[1];
    return `VictoriaMetrics ${version ?? 'of unknown version'}`;
  },
  start: startVictoriaMetrics,
};

/** Defaults, with the limits lifted that the data and the questions would meet. */
async function startVictoriaMetrics(): Promise<RunningSystem> {
  const directory = makeDirectory('victoria-metrics');
  const port = await freePort();
  const child = await startChildServer({
    command: 'victoria-metrics',
    args: [
      ...[`-storageDataPath=${directory}`, `-httpListenAddr=127.0.0.1:${port}`, '-retentionPeriod=100y'],
      ...['-search.maxUniqueTimeseries=100000000', '-search.maxSamplesPerQuery=1000000000'],
      '-search.maxQueryDuration=600s',
    ],
    directory,
    ready: () => answersAt(port, '/health'),
  });
  return new VictoriaMetricsUnderTest(child, port);
}

class VictoriaMetricsUnderTest implements RunningSystem {
  readonly name = 'victoria-metrics';
  readonly write: RunningSystem['write'];
  readonly #child: ChildServer;
  readonly #client: LoopbackClient;

  constructor(child: ChildServer, port: number) {
    this.#child = child;
    this.#client = new LoopbackClient(port, 2);
    this.write = { port, path: '/write?precision=ns' };
  }

  canAsk(question: Question): boolean {
    return metricsqlPath(question) !== undefined;
  }

  async ask(question: Question): Promise<{ bytes: number; read: () => Answer }> {
    const path = metricsqlPath(question);
    if (path === undefined) throw new Error(`${question.shape}: MetricsQL has no such question`);
    const body = await this.#client.expect({ method: 'GET', path });
    return { bytes: body.length, read: () => answerOfMetrics(question, metricSeriesOf(body)) };
  }

  async settle(): Promise<void> {
    await this.#client.expect({ method: 'GET', path: '/internal/force_flush' });
  }

  async merge(): Promise<void> {
    await this.settle();
    await this.#client.expect({ method: 'GET', path: '/internal/force_merge' });
    // The merge begins a while after it was asked for, and what it replaced goes a while after it ended.
    for (let quiet = 0; quiet < 8; quiet++) {
      await sleep(250);
      const metrics = (await this.#client.expect({ method: 'GET', path: '/metrics' })).toString();
      if (/^vm_active_(force_)?merges[^ ]* [^0]/m.test(metrics)) quiet = 0;
    }
  }

  async totals(
    tables: readonly TableShape[],
    { fromMs, toMs }: { fromMs: number; toMs: number },
  ): Promise<FieldTotals[]> {
    // What was written last is found only once it has been flushed.
    await this.settle();
    const totals: FieldTotals[] = [];
    const to = Math.ceil(toMs / 1000);
    const seconds = to - Math.floor(fromMs / 1000) + 1;
    for (const { name, fields } of tables) {
      for (const field of fields) {
        const ask = async (outer: string, inner: string): Promise<number> => {
          const path = instantPath(`${outer}(${inner}_over_time(${name}_${field}[${seconds}s]))`, to);
          return Number(metricSeriesOf(await this.#client.expect({ method: 'GET', path }))[0]?.value?.[1]);
        };
        totals.push({
          table: name,
          field,
          count: await ask('sum', 'count'),
          sum: await ask('sum', 'sum'),
          min: await ask('min', 'min'),
          max: await ask('max', 'max'),
        });
      }
    }
    return totals;
  }

  cpuSeconds(): number {
    return this.#child.cpuSeconds();
  }

  peakBytes(): number {
    return this.#child.peakBytes();
  }

  async diskBytes(): Promise<DiskBytes> {
    const { directory } = this.#child;
    return { data: folderBytes(join(directory, 'data')), index: folderBytes(join(directory, 'indexdb')) };
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#child.stop();
  }
}
