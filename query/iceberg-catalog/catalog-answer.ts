/** What a request is answered with; a refusal that clients know by its type is an answer too. */
export type CatalogAnswer =
  | { readonly kind: 'json'; readonly body: object }
  /** JSON that is text already: table metadata holds 63-bit integers, which a JavaScript number cannot. */
  | { readonly kind: 'json-bytes'; readonly bytes: Uint8Array; readonly etag: string }
  | { readonly kind: 'not-modified'; readonly etag: string }
  | { readonly kind: 'no-content' }
  | CatalogRefusal;

export interface CatalogRefusal {
  readonly kind: 'refusal';
  readonly status: number;
  /** The exception that clients raise, in the words of the specification. */
  readonly type: string;
  readonly message: string;
}

/** There is no such namespace. */
export function noSuchNamespace(namespace: readonly string[]): CatalogRefusal {
  const name = namespace.join('.');
  return {
    kind: 'refusal',
    status: 404,
    type: 'NoSuchNamespaceException',
    message: `there is no database ${JSON.stringify(name)}; want one that GET /iceberg/v1/namespaces lists`,
  };
}

/** There is no such table, or none of it is settled. */
export function noSuchTable(database: string, table: string, reason: string): CatalogRefusal {
  const message = `cannot load table ${JSON.stringify(table)} of database ${JSON.stringify(database)}: ${reason}`;
  return { kind: 'refusal', status: 404, type: 'NoSuchTableException', message };
}

/** There is no such view: Varve has none. */
export function noSuchView(namespace: readonly string[], view: string): CatalogRefusal {
  const message = `there is no view ${JSON.stringify(view)} in ${JSON.stringify(namespace.join('.'))}; this catalog has tables only`;
  return { kind: 'refusal', status: 404, type: 'NoSuchViewException', message };
}

/** The catalog does not do this. */
export function unsupported(method: string, path: string): CatalogRefusal {
  return {
    kind: 'refusal',
    status: 406,
    type: 'UnsupportedOperationException',
    message: `got ${method} ${path}; this catalog is read-only and offers what GET /iceberg/v1/config lists: points are written by line protocol, and Varve alone commits to its tables`,
  };
}

/** The path of the request cannot be decoded. */
export function malformedPath(path: string): CatalogRefusal {
  return {
    kind: 'refusal',
    status: 400,
    type: 'BadRequestException',
    message: `got path ${JSON.stringify(path)}; want percent-encoded UTF-8`,
  };
}

/** The body of an error, as the specification's IcebergErrorResponse. */
export function errorBody(status: number, type: string, message: string): object {
  return { error: { message, type, code: status } };
}
