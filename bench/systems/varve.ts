import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { productVersion } from '../../cli/version.js';
import { workerUrl } from '../../core/std/worker-url.js';
import type { FieldTotals, TableShape } from '../generate/point-stream.js';
import { LoopbackClient } from '../measure/http-exchange.js';
import type { Answer } from '../questions/answer.js';
import type { Question } from '../questions/question.js';
import { answerOfRows, sqlOf } from '../questions/sql.js';
import { type ChildServer, folderBytes, makeDirectory, startChildServer } from './child-server.js';
import type { DiskBytes, RunningSystem, System } from './system.js';

const database = 'bench';
const inFlux = ['--late-delay', '12h', '--late-bytes-max', '16GiB', '--hot-bytes-max', '16GiB'];
/** The compiled command, also where the bench itself runs from source. */
const command = fileURLToPath(workerUrl(import.meta.url, '../../cli/main.js'));

/** Varve as it is built in this checkout. */
export const varve: System = {
  name: 'varve',
  acknowledged: 'on disk: fdatasync of its log',
  version: () => `Varve ${productVersion()}`,
  start: (keeping) => startVarve(keeping === 'default' ? [] : inFlux),
};

/** Starts `varve serve` in a folder of its own, or in one that has data already. */
export async function startVarve(
  flags: readonly string[],
  directory = makeDirectory('varve'),
): Promise<VarveUnderTest> {
  let port = 0;
  const args = [command, 'serve', '--port', '0', '--data-dir', directory, '--log-level', 'warn', ...flags];
  const nodeFlags = process.env['VARVE_BENCH_NODE_FLAGS']?.split(' ') ?? [];
  const child = await startChildServer({
    command: process.execPath,
    args: [...nodeFlags, ...args],
    directory,
    ready: (process) =>
      new Promise((resolve) => {
        let text = '';
        process.stdout?.on('data', (piece: string) => {
          text = (text + piece).slice(-4000);
          const match = /listening on http:\/\/[^:]+:(\d+)/.exec(text);
          if (match === null) return;
          port = Number(match[1]);
          resolve();
        });
      }),
  });
  return new VarveUnderTest(child, port);
}

interface SettledStatus {
  readonly tables: readonly { readonly bytes: number }[];
  readonly groups: readonly unknown[];
}

/** A running `varve serve`. */
export class VarveUnderTest implements RunningSystem {
  readonly name = 'varve';
  readonly write: RunningSystem['write'];
  readonly #child: ChildServer;
  readonly #client: LoopbackClient;

  constructor(child: ChildServer, port: number) {
    this.#child = child;
    this.#client = new LoopbackClient(port, 2);
    this.write = { port, path: `/api/v3/write_lp?db=${database}&precision=nanosecond` };
  }

  canAsk(): boolean {
    return true;
  }

  async ask(question: Question): Promise<{ bytes: number; read: () => Answer }> {
    const format = question.kind === 'rows-above' ? 'arrow' : 'json';
    const body = await this.sql(sqlOf(question), format);
    return {
      bytes: body.length,
      read: () => {
        if (format === 'json') return answerOfRows(question, JSON.parse(body.toString()));
        const rows = tableFromIPC(body).toArray() as readonly Readonly<Record<string, unknown>>[];
        return answerOfRows(question, rows);
      },
    };
  }

  /** The body of an answer to SQL. */
  sql(query: string, format: 'json' | 'arrow' = 'json'): Promise<Buffer> {
    const path = `/api/v3/query_sql?db=${database}&format=${format}&q=${encodeURIComponent(query)}`;
    return this.#client.expect({ method: 'GET', path });
  }

  async settle(): Promise<void> {
    await this.#post('/api/v1/seal', {
      db: database,
      before: new Date(Date.now() + 7_200_000).toISOString(),
    });
  }

  async merge(): Promise<void> {
    await this.#post('/api/v1/compact', { db: database });
  }

  async totals(tables: readonly TableShape[]): Promise<FieldTotals[]> {
    const totals: FieldTotals[] = [];
    for (const { name, fields } of tables) {
      const columns = fields.flatMap((field) => [
        `count(${field}) AS "count ${field}", sum(${field}::DOUBLE) AS "sum ${field}"`,
        `min(${field}) AS "min ${field}", max(${field}) AS "max ${field}"`,
      ]);
      const body = await this.sql(`SELECT ${columns.join(', ')} FROM ${name}`);
      const [row = {}] = JSON.parse(body.toString()) as Record<string, number>[];
      const cellOf = (aggregate: string, field: string): number => Number(row[`${aggregate} ${field}`]);
      for (const field of fields) {
        totals.push({
          table: name,
          field,
          count: cellOf('count', field),
          sum: cellOf('sum', field),
          min: cellOf('min', field),
          max: cellOf('max', field),
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

  /** Data: the live data files. Index: all other objects, and data files that have been merged away. */
  async diskBytes(): Promise<DiskBytes> {
    const { tables } = await this.#settled();
    const data = tables.reduce((sum, table) => sum + table.bytes, 0);
    return { data, index: folderBytes(`${this.#child.directory}/objects`) - data };
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#child.stop();
  }

  async #settled(): Promise<SettledStatus> {
    return (await this.#client.json(`/api/v1/settled?db=${database}`)) as SettledStatus;
  }

  async #post(path: string, body: object): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(body));
    await this.#client.expect({ method: 'POST', path, body: bytes, contentType: 'application/json' });
  }
}
