import type { FastifyInstance } from 'fastify';

export interface HealthRoutesOptions {
  /** Version of Varve, such as 0.1.0. */
  readonly version: string;
  /** What keeps the server from doing its work now, such as a store out of reach; empty when it is ready. */
  readonly ready: () => Promise<readonly string[]>;
  /** The metrics as Prometheus text. */
  readonly metrics: () => Promise<string>;
}

/**
 * Registers GET and HEAD /ping, GET /health (the process is alive), GET /ready (it can work; 503 says why not) and
 * GET /metrics, in the shapes of InfluxDB where it has them.
 */
export function registerHealthRoutes(server: FastifyInstance, options: HealthRoutesOptions): void {
  const { version } = options;
  const versionHeaders = { 'x-influxdb-version': `varve-${version}`, 'x-varve-version': version };

  server.get<{ Querystring: { verbose?: string } }>('/ping', async (request, reply) => {
    reply.headers(versionHeaders);
    const { verbose } = request.query;
    if (verbose === undefined || verbose === '' || verbose === '0' || verbose === 'false')
      return reply.code(204).send();
    return { version: `varve-${version}` };
  });

  server.get('/health', async (_request, reply) => {
    reply.headers(versionHeaders);
    return { name: 'varve', message: 'ready for queries and writes', status: 'pass', checks: [], version };
  });

  server.get('/ready', async (_request, reply) => {
    const problems = await options.ready();
    reply.headers(versionHeaders);
    if (problems.length === 0) return { status: 'ready' };
    return reply
      .code(503)
      .send({ status: 'not ready', error: `not ready: ${problems.join('; ')}`, problems });
  });

  server.get('/metrics', async (_request, reply) => {
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(await options.metrics());
  });
}
