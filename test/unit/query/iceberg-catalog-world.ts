import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { openCatalogs } from '../../../cli/serve/catalogs.js';
import { openSettledTables } from '../../../cli/serve/settled-tables.js';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { type Authentication, noAuthentication } from '../../../core/http/authentication.js';
import { createHttpServer } from '../../../core/http/server.js';
import { dataFileKey } from '../../../core/iceberg/object-paths.js';
import type { GroupId } from '../../../core/model/batch.js';
import { timeFieldId } from '../../../core/model/schema.js';
import { silentLogger } from '../../../core/std/logger.js';
import { registerIcebergCatalogRoutes } from '../../../query/iceberg-catalog/catalog-routes.js';
import { IcebergCatalog } from '../../../query/iceberg-catalog/iceberg-catalog.js';
import { queryCatalog } from '../../../query/query-sources.js';

/** A server with the Iceberg catalog over real catalogs and memory stores; data files are named and not there. */
export class CatalogWorld {
  readonly clock = new SimulatedClock({ startMs: Date.UTC(2024, 0, 1), sleeps: 'jump' });
  readonly random = new SeededRandom(7);
  readonly objects = new MemoryObjectStore({ clock: this.clock });
  readonly catalogs = openCatalogs({ store: new MemoryMetaStore(), clock: this.clock, random: this.random });
  readonly settled = openSettledTables({
    objects: this.objects,
    catalogs: this.catalogs,
    clock: this.clock,
    random: this.random,
    logger: silentLogger,
  });
  readonly server: FastifyInstance;
  /** Objects that were read to answer requests. */
  readonly reads: string[] = [];
  /** What was logged as an error. */
  readonly defects: object[] = [];
  #groups = 0;

  constructor(
    options: {
      readonly authentication?: Authentication;
      readonly clientDefaults?: Readonly<Record<string, string>>;
    } = {},
  ) {
    const { clientDefaults, authentication = noAuthentication } = options;
    this.server = createHttpServer({
      authentication,
      clock: this.clock,
      random: this.random,
      logger: silentLogger,
    });
    const catalog = new IcebergCatalog({
      catalog: {
        ...queryCatalog(this.catalogs),
        listDatabases: (signal) => this.catalogs.databases.list(signal),
      },
      objects: {
        get: (key, signal) => {
          this.reads.push(key);
          return this.objects.get(key, signal);
        },
        uriOf: (key) => this.objects.uriOf(key),
      },
      ...(clientDefaults === undefined ? {} : { clientDefaults }),
    });
    const logger = { ...silentLogger, error: (fields: object) => void this.defects.push(fields) };
    registerIcebergCatalogRoutes(this.server, catalog, logger);
  }

  async makeDatabase(name: string): Promise<void> {
    await this.catalogs.databases.create(name, defaultDatabaseSettings);
  }

  async makeTable(database: string, table: string): Promise<void> {
    const addition = {
      table,
      tags: ['host'],
      fields: [{ name: 'usage', type: 'double' }],
      hasTimeNs: false,
    } as const;
    const limits = { columnsMax: 10, tablesMax: 1000 };
    const [result] = await this.catalogs.tables.extend(database, [addition], limits);
    if (result?.kind !== 'extended') throw new Error(`got ${result?.kind}; want the table made`);
  }

  /** Commits one more data file to the table, which is made if need be. Gives the id of the new snapshot. */
  async settle(databaseName: string, table: string): Promise<string> {
    const database = await this.catalogs.databases.get(databaseName);
    if (database === undefined) throw new Error(`got no database ${databaseName}; want it made`);
    if ((await this.catalogs.tables.get(database, table)) === undefined)
      await this.makeTable(databaseName, table);
    const record = await this.catalogs.tables.get(database, table);
    const number = ++this.#groups;
    const contentHash = createHash('sha256').update(String(number)).digest('hex');
    const timeNs = 1_704_067_200_000_000_000n + BigInt(number) * 1000n;
    const bound = new Uint8Array(BigInt64Array.of(timeNs / 1000n).buffer);
    const result = await this.settled.commit({
      database,
      table,
      fencingEpoch: 1,
      change: {
        kind: 'seal',
        groups: [`w${String(number).padStart(12, '0')}` as GroupId],
        added: [
          {
            key: dataFileKey(database.id, record?.value.tableUuid ?? '', contentHash),
            contentHash,
            bytes: 100,
            rows: 1,
            day: 19_723,
            minTimeNs: timeNs,
            maxTimeNs: timeNs,
            columns: [
              {
                fieldId: timeFieldId,
                compressedBytes: 10,
                valueCount: 1,
                nullCount: 0,
                nanCount: null,
                lower: bound,
                upper: bound,
              },
            ],
            rowGroupOffsets: [4],
            sortedBy: ['host'],
            sequence: 0,
          },
        ],
      },
    });
    if (result.kind !== 'committed') throw new Error(`got ${result.kind}; want a commit`);
    return result.snapshot.snapshotId;
  }

  async ask(
    path: string,
    options: { method?: Method; headers?: Record<string, string>; body?: string } = {},
  ) {
    const { method = 'GET', headers = {}, body } = options;
    const answer = await this.server.inject({
      method,
      url: `/iceberg/v1/${path}`,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: answer.body,
      json: answer.body === '' ? undefined : (JSON.parse(answer.body) as unknown),
    };
  }
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The body of an error. */
export function refusal(code: number, type: string, message: unknown) {
  return { error: { message, type, code } };
}
