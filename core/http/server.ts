import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Clock } from '../ports/clock.js';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';
import type { Logger } from '../std/logger.js';
import { type Authentication, authenticate } from './authentication.js';
import { errorAnswer } from './error-answer.js';
import { acceptUndeclaredJson } from './json-bodies.js';
import { OpenConnections } from './open-connections.js';

export interface HttpServerOptions {
  readonly authentication: Authentication;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Largest body that is read into memory as a whole; streamed bodies have limits of their own. Default 1 MiB. */
  readonly requestBytesMax?: number;
  /** How long a client may take to send a request. Default 5 minutes. */
  readonly requestTimeoutMs?: number;
  /** How long requests under way may go on once the server is closed; then they are cut off. Default 20 seconds. */
  readonly closeGraceMs?: number;
}

/** Paths that anyone may ask, so that load balancers need no token. */
const openPaths: ReadonlySet<string> = new Set(['/ping', '/health', '/joined']);

/**
 * Makes the HTTP server that every room registers its routes on: request ids, one log line a request, authentication
 * before anything is read of the body, and errors in the shape of the API that was called. It does not listen yet.
 *
 * What it logs of a URL is the path: query strings can carry passwords and tokens.
 */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { authentication, clock, logger } = options;
  const prefix = Buffer.from(options.random.bytes(4)).toString('hex');
  const startedMs = new WeakMap<FastifyRequest, number>();
  let requests = 0;
  const server = fastify({
    logger: false,
    genReqId: () => `${prefix}-${(++requests).toString(36)}`,
    bodyLimit: options.requestBytesMax ?? 1 << 20,
    requestTimeout: options.requestTimeoutMs ?? 300_000,
    forceCloseConnections: 'idle',
  });

  closeInTime(server, options);

  acceptUndeclaredJson(server);

  server.addHook('onRequest', async (request, reply) => {
    startedMs.set(request, clock.monotonicMs());
    reply.header('x-request-id', request.id);
    if (openPaths.has(pathOf(request))) return;
    authenticate(authentication, {
      authorization: request.headers.authorization,
      password: passwordOf(request.query),
    });
  });

  server.addHook('onResponse', async (request, reply) => {
    const status = reply.statusCode;
    const fields = {
      requestId: request.id,
      method: request.method,
      path: pathOf(request),
      status,
      milliseconds: Math.round((clock.monotonicMs() - (startedMs.get(request) ?? 0)) * 1000) / 1000,
    };
    if (status >= 500) logger.warn(fields, 'request failed');
    else logger.debug(fields, 'request answered');
  });

  server.addHook('onRequestAbort', async (request) => {
    logger.info({ requestId: request.id, method: request.method, path: pathOf(request) }, 'client went away');
  });

  server.setErrorHandler((error, request, reply) => {
    const answer = errorAnswer(error, pathOf(request), request.id);
    if (answer.status === 500)
      logger.error({ requestId: request.id, path: pathOf(request), err: error }, 'request hit a defect');
    return reply.code(answer.status).headers(answer.headers).send(answer.body);
  });

  server.setNotFoundHandler((request) => {
    throw new VarveError('not-found', `there is no ${request.method} ${pathOf(request)}`);
  });
  return server;
}

/** Makes closing wait for requests under way, for so long, and for nothing else. */
function closeInTime(server: FastifyInstance, { clock, logger, closeGraceMs }: HttpServerOptions): void {
  const connections = new OpenConnections(server.server);
  const closed = new AbortController();
  server.addHook('preClose', async () => {
    connections.closeIdle();
    clock.sleep(closeGraceMs ?? 20_000, closed.signal).then(
      () => logger.warn({ connections: connections.closeAll() }, 'cut off requests that did not finish'),
      () => {},
    );
  });
  server.addHook('onClose', async () => closed.abort());
}

/** The path of a request without its query string. */
export function pathOf(request: FastifyRequest): string {
  const end = request.url.indexOf('?');
  return end === -1 ? request.url : request.url.slice(0, end);
}

function passwordOf(query: unknown): string | undefined {
  if (typeof query !== 'object' || query === null || !('p' in query)) return undefined;
  return typeof query.p === 'string' ? query.p : undefined;
}
