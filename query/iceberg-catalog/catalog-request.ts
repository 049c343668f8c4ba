/**
 * What a request asks of the catalog, read from its method and path. The paths are those of the Iceberg REST catalog
 * specification (open-api/rest-catalog-open-api.yaml of apache/iceberg) without a prefix.
 */
export type CatalogRequest =
  | { readonly kind: 'config' }
  | { readonly kind: 'list-namespaces' }
  | { readonly kind: 'load-namespace'; readonly namespace: Namespace }
  | { readonly kind: 'namespace-exists'; readonly namespace: Namespace }
  | { readonly kind: 'list-tables'; readonly namespace: Namespace }
  | { readonly kind: 'load-table'; readonly namespace: Namespace; readonly table: string }
  | { readonly kind: 'table-exists'; readonly namespace: Namespace; readonly table: string }
  /** A view, of which there are none. */
  | { readonly kind: 'view'; readonly namespace: Namespace; readonly view: string }
  /** Something else that the specification may know: a write, a scan plan, credentials. */
  | { readonly kind: 'unsupported' }
  /** A path that cannot be decoded. */
  | { readonly kind: 'malformed' };

/** The parts of a namespace. A database is a namespace of one part. */
export type Namespace = readonly string[];

/** Where the catalog lies on the server; what clients take as the catalog's `uri`. */
export const catalogRoot = '/iceberg';

/** What the server can do, as /v1/config tells clients, so that they ask for nothing else. */
export const supportedEndpoints: readonly string[] = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
];

/** Separates the parts of a namespace within one segment of a path. */
const namespaceSeparator = '\u001f';

/** Reads a request from its method and its raw path, which has no query string and begins with `catalogRoot`. */
export function readCatalogRequest(method: string, rawPath: string): CatalogRequest {
  const segments = decodeSegments(rawPath.slice(catalogRoot.length + 1));
  if (segments === undefined) return { kind: 'malformed' };
  const [version, resource, namespaceText, collection, name, ...more] = segments;
  const head = method === 'HEAD';
  if (version !== 'v1' || more.length > 0 || !(head || method === 'GET')) return { kind: 'unsupported' };
  if (resource === 'config' && namespaceText === undefined && !head) return { kind: 'config' };
  if (resource !== 'namespaces') return { kind: 'unsupported' };
  if (namespaceText === undefined) return { kind: head ? 'unsupported' : 'list-namespaces' };

  const namespace = splitNamespace(namespaceText);
  if (collection === undefined) return { kind: head ? 'namespace-exists' : 'load-namespace', namespace };
  if (collection === 'views' && name !== undefined) return { kind: 'view', namespace, view: name };
  if (collection !== 'tables') return { kind: 'unsupported' };
  if (name !== undefined) return { kind: head ? 'table-exists' : 'load-table', namespace, table: name };
  return head ? { kind: 'unsupported' } : { kind: 'list-tables', namespace };
}

/** The parts of a namespace given as one text. */
export function splitNamespace(text: string): Namespace {
  return text.split(namespaceSeparator);
}

function decodeSegments(path: string): readonly string[] | undefined {
  try {
    // The Java client encodes names as form fields, in which a space is "+"; the others write "%20", and a plus "%2B".
    return path.split('/').map((segment) => decodeURIComponent(segment.replaceAll('+', '%20')));
  } catch {
    return undefined;
  }
}
