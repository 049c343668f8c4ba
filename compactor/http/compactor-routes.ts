import type { FastifyInstance, FastifyRequest } from 'fastify';
import { goneSignal } from '../../core/http/gone-signal.js';
import { VarveError } from '../../core/std/errors.js';
import type { CompactorControl } from '../compactor-control.js';
import { parseTimeNs } from './parse-time.js';
import { compactJson, sealJson, statusJson, truncateJson, verifyJson } from './report-json.js';

/**
 * Registers `GET /api/v1/settled`, `POST /api/v1/seal`, `POST /api/v1/truncate-shards`, `POST /api/v1/compact` and `GET /api/v1/verify`. Errors are
 * VarveErrors for the server to map. A client that goes away cancels its call.
 */
export function registerCompactorRoutes(server: FastifyInstance, control: CompactorControl): void {
  server.get('/api/v1/settled', async (request, reply) =>
    statusJson(await control.status(queryText(request, 'db'), goneSignal(reply))),
  );

  server.post('/api/v1/seal', async (request, reply) => {
    const body = bodyObject(request, '{"db": "name", "before": "2026-01-01T00:00:00Z"}');
    const beforeNs = parseTimeNs(text(body, 'before'));
    return sealJson(await control.sealBefore(text(body, 'db'), beforeNs, goneSignal(reply)));
  });

  server.post('/api/v1/truncate-shards', async (request, reply) => {
    const body = bodyObject(request, '{"db": "name"} ("db" may be left out, for all)');
    return truncateJson(await control.truncateShards(optionalText(body, 'db'), goneSignal(reply)));
  });

  server.post('/api/v1/compact', async (request, reply) => {
    const body = bodyObject(request, '{"db": "name", "table": "name"} ("table" may be left out)');
    return compactJson(await control.compact(text(body, 'db'), tableOf(body), goneSignal(reply)));
  });

  server.get('/api/v1/verify', async (request, reply) => {
    const table = tableOf(request.query as Record<string, unknown>);
    return verifyJson(await control.verify(queryText(request, 'db'), table, goneSignal(reply)));
  });
}

function queryText(request: FastifyRequest, name: string): string {
  return text(request.query as Record<string, unknown>, name);
}

/** The table that is asked for; null when it is left out, for all. */
function tableOf(from: Record<string, unknown>): string | null {
  return optionalText(from, 'table');
}

function optionalText(from: Record<string, unknown>, name: string): string | null {
  return from[name] === undefined || from[name] === null ? null : text(from, name);
}

function bodyObject(request: FastifyRequest, wanted: string): Record<string, unknown> {
  const { body } = request;
  if (typeof body === 'object' && body !== null && !Array.isArray(body))
    return body as Record<string, unknown>;
  throw new VarveError(
    'invalid',
    `${request.method} ${request.routeOptions.url}: got no JSON object; want ${wanted}`,
  );
}

function text(from: Record<string, unknown>, name: string): string {
  const value = from[name];
  if (typeof value === 'string' && value !== '') return value;
  const got = value === undefined ? 'nothing' : JSON.stringify(value);
  throw new VarveError('invalid', `parameter "${name}": got ${got}; want a text that is not empty`);
}
