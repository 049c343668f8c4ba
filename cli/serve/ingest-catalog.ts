import { assignOwners } from '../../core/catalog/assign-owners.js';
import type { SchemaLimits } from '../../core/catalog/extend-table.js';
import { isUnderReplicated } from '../../core/catalog/group-list.js';
import type { OpenRequest } from '../../core/catalog/open-group.js';
import type { Database, DatabaseSettings, ShardGroup } from '../../core/catalog/types.js';
import type { GroupId, NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import { VarveError } from '../../core/std/errors.js';
import type { IngestCatalog } from '../../ingest/ingest-catalog.js';
import type { Catalogs } from './catalogs.js';

/** How an ingest node uses the catalog. */
export interface IngestCatalogOptions {
  readonly catalogs: Catalogs;
  readonly clock: Clock;
  /** Settings of databases that a first write makes; null when writes make none. */
  readonly defaults: DatabaseSettings | null;
  readonly limits: SchemaLimits;
  /** Nodes that may own new shards, as many as are wanted or all there are. */
  readonly liveNodes: (wanted: number) => readonly NodeId[] | Promise<readonly NodeId[]>;
  /** A group was made with fewer owners a shard than the database shall have. */
  readonly onFewOwners?: (database: Database, group: ShardGroup) => void;
}

/** The catalog as the ingest room asks for it. */
export function ingestCatalog(options: IngestCatalogOptions): IngestCatalog {
  const { catalogs, clock, defaults, limits } = options;
  /** Opens a group; `open` may be called with the same request several times. */
  const opened = async <Outcome>(
    database: Database,
    open: (request: OpenRequest) => Promise<Outcome>,
    groupOf: (outcome: Outcome) => ShardGroup | undefined,
  ): Promise<Outcome> => {
    const nodes = await options.liveNodes(database.replication);
    let made: GroupId | undefined;
    const outcome = await open({
      nowMs: clock.nowMs(),
      assign: (group) => {
        made = group;
        return Array.from({ length: database.shards }, (_, shard) => ({
          owners: assignOwners(database.id, group, shard, nodes, database.replication),
        }));
      },
    });
    const group = groupOf(outcome);
    const isMade = group !== undefined && group.id === made;
    if (isMade && isUnderReplicated(group, database)) options.onFewOwners?.(database, group);
    return outcome;
  };
  return {
    openDatabase: async (name) => {
      const database = await catalogs.databases.get(name);
      if (database !== undefined) return database;
      if (defaults !== null) return catalogs.databases.ensure(name, defaults);
      throw new VarveError(
        'not-found',
        `there is no database "${name}", and writes make none here (--no-create-databases)`,
      );
    },
    databaseById: (id) => catalogs.databases.getById(id),
    listTables: async (database) => (await catalogs.tables.list(database.name)).map((record) => record.value),
    extendTables: async (database, additions) => {
      const results = await catalogs.tables.extend(database.name, additions, limits);
      return results.map((result) =>
        result.kind === 'refused' ? result : { kind: 'extended', record: result.record },
      );
    },
    groupList: async (database) => (await catalogs.groups.get(database)).value,
    openWindowGroup: (database, timeNs) =>
      opened(
        database,
        async (request) => (await catalogs.groups.openWindowGroup(database, timeNs, request)).outcome,
        (outcome) => (outcome.kind === 'open' ? outcome.group : undefined),
      ),
    openSpillGroup: (database, kind) =>
      opened(
        database,
        async (request) => (await catalogs.groups.openSpillGroup(database, kind, request)).outcome,
        (group) => group,
      ),
  };
}

/** Whether the node has let the group go, as far as the catalog tells: it is in the list no more, or noted there. */
export async function wasDropped(
  { databases, groups }: Pick<Catalogs, 'databases' | 'groups'>,
  node: NodeId,
  databaseId: string,
  group: GroupId,
): Promise<boolean> {
  const database = await databases.getById(databaseId);
  if (database === undefined) return true;
  const listed = (await groups.get(database)).value.groups.find(({ id }) => id === group);
  return listed === undefined || listed.released.includes(node);
}
