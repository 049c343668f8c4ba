import type { DatabaseCatalog } from '../core/catalog/database-catalog.js';
import type { GroupCatalog } from '../core/catalog/group-catalog.js';
import type { LeaseCatalog } from '../core/catalog/lease-catalog.js';
import type { NodeCatalog } from '../core/catalog/node-catalog.js';
import type { TableCatalog } from '../core/catalog/table-catalog.js';

/** What the compactor uses of the catalog. Every transition is one compare-and-set that carries its fencing epoch. */
export interface CompactorCatalog {
  readonly databases: Pick<DatabaseCatalog, 'get' | 'list' | 'listDropped' | 'forgetDropped'>;
  readonly tables: Pick<TableCatalog, 'get' | 'list' | 'forgetGroups'>;
  readonly groups: Pick<
    GroupCatalog,
    | 'get'
    | 'closeDue'
    | 'close'
    | 'closeThrough'
    | 'truncate'
    | 'agree'
    | 'seal'
    | 'release'
    | 'advanceWatermark'
    | 'replaceLost'
    | 'filled'
  >;
  readonly nodes: Pick<NodeCatalog, 'list' | 'forget'>;
  readonly leases: Pick<LeaseCatalog, 'acquire' | 'renew' | 'release'>;
}
