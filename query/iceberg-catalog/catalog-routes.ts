import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorAnswer } from '../../core/http/error-answer.js';
import { goneSignal } from '../../core/http/gone-signal.js';
import { pathOf } from '../../core/http/server.js';
import { assert } from '../../core/std/assert.js';
import { type ErrorKind, isVarveError, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { type CatalogAnswer, errorBody, malformedPath, noSuchView, unsupported } from './catalog-answer.js';
import { catalogRoot, readCatalogRequest } from './catalog-request.js';
import type { IcebergCatalog, Query } from './iceberg-catalog.js';

/** Exceptions of the Iceberg clients by kind of error. */
const exceptionTypes: Readonly<Record<ErrorKind, string>> = {
  invalid: 'BadRequestException',
  unauthenticated: 'NotAuthorizedException',
  'not-found': 'NotFoundException',
  conflict: 'CommitFailedException',
  'too-large': 'BadRequestException',
  fenced: 'ServiceUnavailableException',
  busy: 'SlowDownException',
  exhausted: 'ServiceUnavailableException',
  timeout: 'ServiceUnavailableException',
  cancelled: 'ServiceUnavailableException',
  unavailable: 'ServiceUnavailableException',
  corrupt: 'InternalServerError',
  internal: 'InternalServerError',
};

/**
 * Registers the Iceberg REST catalog below /iceberg/v1/, errors in its shape included. Paths are taken apart here
 * and not by the router, whose parameters may be no longer than 100 characters: names of databases may be.
 */
export function registerIcebergCatalogRoutes(
  server: FastifyInstance,
  catalog: IcebergCatalog,
  logger: Logger,
): void {
  server.register(
    async (scope) => {
      // A write is refused whatever its body is.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, payload, done) => {
        payload.resume();
        done(null);
      });
      scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, logger));
      scope.route({
        method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        url: '/*',
        exposeHeadRoute: false,
        handler: async (request, reply) => {
          const signal = goneSignal(reply);
          try {
            return sendAnswer(reply, await answer(catalog, request, signal));
          } catch (error) {
            if (!signal.aborted) throw error;
            // What a store throws when it is told to stop is no defect.
            throw new VarveError('cancelled', 'the client went away', { cause: error });
          }
        },
      });
    },
    { prefix: catalogRoot },
  );
}

async function answer(
  catalog: IcebergCatalog,
  request: FastifyRequest,
  signal: AbortSignal,
): Promise<CatalogAnswer> {
  const path = pathOf(request);
  const wanted = readCatalogRequest(request.method, path);
  const query = request.query as Query;
  switch (wanted.kind) {
    case 'config':
      return catalog.config();
    case 'list-namespaces':
      return catalog.listNamespaces(query, signal);
    case 'load-namespace':
      return catalog.loadNamespace(wanted.namespace, signal);
    case 'namespace-exists':
      return catalog.namespaceExists(wanted.namespace, signal);
    case 'list-tables':
      return catalog.listTables(wanted.namespace, query, signal);
    case 'load-table': {
      const ifNoneMatch = request.headers['if-none-match'];
      return catalog.loadTable(wanted.namespace, wanted.table, { query, ifNoneMatch }, signal);
    }
    case 'table-exists':
      return catalog.tableExists(wanted.namespace, wanted.table, signal);
    case 'view':
      // Clients that know no list of endpoints ask for a view where they find no table.
      return noSuchView(wanted.namespace, wanted.view);
    case 'unsupported':
      return unsupported(request.method, path);
    case 'malformed':
      return malformedPath(path);
  }
}

function sendAnswer(reply: FastifyReply, result: CatalogAnswer): FastifyReply {
  switch (result.kind) {
    case 'json':
      return reply.send(result.body);
    case 'json-bytes':
      return reply.header('etag', result.etag).type('application/json; charset=utf-8').send(result.bytes);
    case 'not-modified':
      return reply.code(304).header('etag', result.etag).send();
    case 'no-content':
      return reply.code(204).send();
    case 'refusal':
      return reply.code(result.status).send(errorBody(result.status, result.type, result.message));
  }
}

function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): FastifyReply {
  const { status, headers, body } = errorAnswer(error, pathOf(request), request.id);
  if (status === 500) {
    logger.error({ requestId: request.id, path: pathOf(request), err: error }, 'request hit a defect');
  }
  const type = isVarveError(error) ? exceptionTypes[error.kind] : typeOfStatus(status);
  return reply
    .code(status)
    .headers(headers)
    .send(errorBody(status, type, messageOf(body)));
}

/** The message for callers, which is not always the error's own. */
function messageOf(body: object): string {
  assert('error' in body && typeof body.error === 'string', 'answer an error: its body has no message');
  return body.error;
}

function typeOfStatus(status: number): string {
  return status < 500 ? exceptionTypes.invalid : exceptionTypes.internal;
}
