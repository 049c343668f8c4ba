import { createHash } from 'node:crypto';
import { nameDefect } from '../../core/catalog/keys.js';
import type { Database, GroupList, TableRecord } from '../../core/catalog/types.js';
import { decodeTableMetadata, encodeTableMetadata } from '../../core/iceberg/table-metadata.js';
import { formatTimeNs } from '../../core/model/window.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import { type CatalogAnswer, noSuchNamespace, noSuchTable } from './catalog-answer.js';
import { type Namespace, splitNamespace, supportedEndpoints } from './catalog-request.js';
import { pageOf, readPageRequest } from './page.js';

/** Varve's catalog as the Iceberg catalog sees it: reads only. */
export interface CatalogReader {
  listDatabases(signal?: AbortSignal): Promise<readonly Database[]>;
  getDatabase(database: string, signal?: AbortSignal): Promise<Database | undefined>;
  getGroups(database: Database, signal?: AbortSignal): Promise<GroupList>;
  getTable(database: Database, table: string, signal?: AbortSignal): Promise<TableRecord | undefined>;
  listTables(database: Database, signal?: AbortSignal): Promise<readonly TableRecord[]>;
}

export interface IcebergCatalogOptions {
  readonly catalog: CatalogReader;
  readonly objects: Pick<ObjectStore, 'get' | 'uriOf'>;
  /** Settings that clients take where they have none of their own, such as `s3.region`. Never a secret. */
  readonly clientDefaults?: Readonly<Record<string, string>>;
}

/** The query string of a request. */
export type Query = Readonly<Record<string, unknown>>;

/** How a table is to be loaded. */
export interface LoadRequest {
  readonly query: Query;
  readonly ifNoneMatch: string | undefined;
}

/**
 * Answers the questions of the Iceberg REST catalog specification: a database is a namespace, a table with settled
 * history is a table. A table of which nothing has settled has no metadata file that an engine could read; it is
 * neither listed nor found. Engines read settled files and never wait for the hot tier.
 */
export class IcebergCatalog {
  readonly #catalog: CatalogReader;
  readonly #objects: Pick<ObjectStore, 'get' | 'uriOf'>;
  readonly #clientDefaults: Readonly<Record<string, string>>;

  constructor(options: IcebergCatalogOptions) {
    this.#catalog = options.catalog;
    this.#objects = options.objects;
    this.#clientDefaults = options.clientDefaults ?? {};
  }

  /** What a client asks first. Its `warehouse` means nothing here: a server has one catalog. */
  config(): CatalogAnswer {
    return json({ defaults: this.#clientDefaults, overrides: {}, endpoints: supportedEndpoints });
  }

  /** The databases; below a database there is nothing. `invalid` for a bad page. */
  async listNamespaces(query: Query, signal?: AbortSignal): Promise<CatalogAnswer> {
    const page = readPageRequest(query);
    const { parent } = query;
    if (parent !== undefined && parent !== '') {
      if (typeof parent !== 'string') {
        throw new VarveError('invalid', `got parent ${JSON.stringify(parent)}; want one namespace`);
      }
      const namespace = splitNamespace(parent);
      if ((await this.#find(namespace, signal)) === undefined) return noSuchNamespace(namespace);
      return json({ namespaces: [], 'next-page-token': null });
    }
    const databases = await this.#catalog.listDatabases(signal);
    const { names, nextToken } = pageOf(
      databases.map(({ name }) => name),
      page,
    );
    return json({ namespaces: names.map((name) => [name]), 'next-page-token': nextToken });
  }

  /** A database, with the watermark up to which its history is complete. */
  async loadNamespace(namespace: Namespace, signal?: AbortSignal): Promise<CatalogAnswer> {
    const database = await this.#find(namespace, signal);
    if (database === undefined) return noSuchNamespace(namespace);
    const { settledThroughNs } = await this.#catalog.getGroups(database, signal);
    return json({
      namespace,
      properties: {
        'varve.database-id': database.id,
        'varve.settled-through': formatTimeNs(settledThroughNs),
      },
    });
  }

  async namespaceExists(namespace: Namespace, signal?: AbortSignal): Promise<CatalogAnswer> {
    const database = await this.#find(namespace, signal);
    return database === undefined ? noSuchNamespace(namespace) : { kind: 'no-content' };
  }

  /** The tables of a database that have settled history. `invalid` for a bad page. */
  async listTables(namespace: Namespace, query: Query, signal?: AbortSignal): Promise<CatalogAnswer> {
    const page = readPageRequest(query);
    const database = await this.#find(namespace, signal);
    if (database === undefined) return noSuchNamespace(namespace);
    const records = await this.#catalog.listTables(database, signal);
    const loadable = records.filter(({ metadataKey }) => metadataKey !== null);
    const { names, nextToken } = pageOf(
      loadable.map(({ table }) => table),
      page,
    );
    return json({
      identifiers: names.map((name) => ({ namespace, name })),
      'next-page-token': nextToken,
    });
  }

  /**
   * The table's current metadata file, as it stands in the object store; `snapshots=refs` leaves out all snapshots
   * but the current one. Reads no object when the client has this version already.
   */
  async loadTable(
    namespace: Namespace,
    table: string,
    request: LoadRequest,
    signal?: AbortSignal,
  ): Promise<CatalogAnswer> {
    const snapshots = readSnapshotsMode(request.query);
    const found = await this.#findTable(namespace, table, signal);
    if ('kind' in found) return found;
    const etag = etagOf(found.metadataKey, snapshots);
    if (request.ifNoneMatch !== undefined && matches(request.ifNoneMatch, etag)) {
      return { kind: 'not-modified', etag };
    }
    const file = await this.#readMetadata(found.metadataKey, signal);
    const metadata = snapshots === 'all' ? file : withCurrentSnapshotOnly(found.metadataKey, file);
    const location = JSON.stringify(this.#objects.uriOf(found.metadataKey));
    const bytes = Buffer.concat([
      Buffer.from(`{"metadata-location":${location},"metadata":`),
      metadata,
      Buffer.from(',"config":{}}'),
    ]);
    return { kind: 'json-bytes', bytes, etag };
  }

  async tableExists(namespace: Namespace, table: string, signal?: AbortSignal): Promise<CatalogAnswer> {
    const found = await this.#findTable(namespace, table, signal);
    return 'kind' in found ? found : { kind: 'no-content' };
  }

  /** The database of a namespace. Names that no database can have are looked for nowhere. */
  async #find(namespace: Namespace, signal: AbortSignal | undefined): Promise<Database | undefined> {
    const [name, ...more] = namespace;
    if (name === undefined || more.length > 0 || nameDefect(name) !== undefined) return undefined;
    return this.#catalog.getDatabase(name, signal);
  }

  async #findTable(
    namespace: Namespace,
    table: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly metadataKey: string } | Extract<CatalogAnswer, { readonly kind: 'refusal' }>> {
    const database = await this.#find(namespace, signal);
    if (database === undefined) return noSuchNamespace(namespace);
    const record =
      nameDefect(table) === undefined ? await this.#catalog.getTable(database, table, signal) : undefined;
    if (record === undefined) return noSuchTable(database.name, table, 'there is no such table');
    if (record.metadataKey === null) {
      return noSuchTable(database.name, table, 'nothing of it has settled yet; want it again after a window');
    }
    return { metadataKey: record.metadataKey };
  }

  /** A record never names a file that is not there, so a missing one is no "not found" of the caller's. */
  async #readMetadata(key: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    try {
      return await this.#objects.get(key, signal);
    } catch (error) {
      if (!isVarveError(error, 'not-found')) throw error;
      throw new VarveError(
        'corrupt',
        `load table: got no metadata file ${key}; want the one its record names`,
        {
          cause: error,
        },
      );
    }
  }
}

type SnapshotsMode = 'all' | 'refs';

function readSnapshotsMode({ snapshots }: Query): SnapshotsMode {
  if (snapshots === undefined || snapshots === '' || snapshots === 'all') return 'all';
  if (snapshots === 'refs') return 'refs';
  throw new VarveError('invalid', `got snapshots ${JSON.stringify(snapshots)}; want all or refs`);
}

/** The current snapshot is the only one that a reference (the branch main) names. */
function withCurrentSnapshotOnly(key: string, file: Uint8Array): Uint8Array {
  const metadata = decodeTableMetadata(key, file);
  const current = metadata['current-snapshot-id'];
  const snapshots = metadata.snapshots.filter((snapshot) => snapshot['snapshot-id'] === current);
  return encodeTableMetadata({ ...metadata, snapshots });
}

/** Metadata files never change, so the key of one and the form of the answer say all of it. */
function etagOf(metadataKey: string, snapshots: SnapshotsMode): string {
  const hash = createHash('sha256').update(`${metadataKey}\n${snapshots}`).digest('hex');
  return `"${hash.slice(0, 32)}"`;
}

/** If-None-Match: a list of tags, compared weakly, or any. */
function matches(ifNoneMatch: string, etag: string): boolean {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}

function json(body: object): CatalogAnswer {
  return { kind: 'json', body };
}
