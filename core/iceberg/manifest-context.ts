import { VarveError } from '../std/errors.js';
import type { ManifestContext } from './manifest.js';
import { type SortOrder, sortedByOf } from './sort-order.js';
import type { IcebergSchema } from './table-schema.js';

/** How keys and sort orders stand in the manifests of a table with these sort orders. */
export function manifestContext(
  uris: { readonly uriOf: (key: string) => string; readonly keyOf: (uri: string) => string },
  sortOrders: readonly SortOrder[],
  schema: IcebergSchema,
): ManifestContext {
  const names = sortedByOf(sortOrders, schema);
  const ids = new Map([...names].map(([id, sortedBy]) => [JSON.stringify(sortedBy), id]));
  return {
    uriOf: uris.uriOf,
    keyOf: uris.keyOf,
    sortOrderIdOf: (sortedBy) => {
      const id = ids.get(JSON.stringify(sortedBy));
      if (id !== undefined) return id;
      throw new VarveError(
        'internal',
        `manifest: got no sort order for tags ${sortedBy.join(', ')}; want one`,
      );
    },
    sortedByOf: (id) => {
      if (id === 0) return [];
      const sortedBy = names.get(id);
      if (sortedBy !== undefined) return sortedBy;
      throw new VarveError('corrupt', `manifest: got sort order ${id}; want one that the table metadata has`);
    },
  };
}
