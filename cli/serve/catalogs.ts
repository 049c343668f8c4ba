import { DatabaseCatalog } from '../../core/catalog/database-catalog.js';
import { GroupCatalog } from '../../core/catalog/group-catalog.js';
import { LeaseCatalog } from '../../core/catalog/lease-catalog.js';
import { NodeCatalog } from '../../core/catalog/node-catalog.js';
import type { CatalogPorts } from '../../core/catalog/record-store.js';
import { TableCatalog } from '../../core/catalog/table-catalog.js';

/** The catalog of a process, by topic. */
export interface Catalogs {
  readonly databases: DatabaseCatalog;
  readonly tables: TableCatalog;
  readonly groups: GroupCatalog;
  readonly leases: LeaseCatalog;
  readonly nodes: NodeCatalog;
}

/** Opens the catalog over its ports. */
export function openCatalogs(ports: CatalogPorts): Catalogs {
  const databases = new DatabaseCatalog(ports);
  return {
    databases,
    tables: new TableCatalog(ports, databases),
    groups: new GroupCatalog(ports),
    leases: new LeaseCatalog(ports),
    nodes: new NodeCatalog(ports),
  };
}
