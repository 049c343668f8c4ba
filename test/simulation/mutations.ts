import type { CompactorCatalog } from '../../compactor/compactor-catalog.js';
import type { CompactorSettings } from '../../compactor/compactor-settings.js';
import type { Disk } from '../../core/ports/disk.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { HintSink } from '../../ingest/replicate/hint-sink.js';
import type { HintedBatches } from '../../ingest/replicate/hinted-batches.js';
import type { QueryCatalog } from '../../query/query-sources.js';
import type { NodeService } from './remote-node.js';

/** The hints of a node. */
export type HintKeeper = HintSink & HintedBatches;

/**
 * Seams at which a part of the cluster can be replaced by one that is wrong, to show that the checks see it. Product
 * code is the same with and without.
 */
export interface Mutations {
  /** The disk of an ingest node. */
  readonly disk?: (disk: Disk) => Disk;
  /** Where an ingest node keeps batches for owners that cannot be reached. */
  readonly hints?: (hints: HintKeeper) => HintKeeper;
  /** What an ingest node offers to others and to itself. */
  readonly service?: (service: NodeService) => NodeService;
  /** The catalog's store as any process sees it. */
  readonly meta?: (meta: MetaStore) => MetaStore;
  /** The same as a compactor sees it. */
  readonly compactorMeta?: (meta: MetaStore) => MetaStore;
  readonly compactorCatalog?: (catalog: CompactorCatalog) => CompactorCatalog;
  readonly queryCatalog?: (catalog: QueryCatalog) => QueryCatalog;
  /** An ingest node as a compactor sees it. */
  readonly ownerOfCompactor?: (service: NodeService) => NodeService;
  readonly compactorSettings?: (settings: CompactorSettings) => CompactorSettings;
  /** What every read asks for, whatever it was asked. */
  readonly consistency?: 'one' | 'quorum';
  /** An ingest node as a querier sees it. */
  readonly ownerOfQuery?: (service: NodeService) => NodeService;
}

/** Everything as it is. */
export const noMutations: Mutations = {};
