import { randomFillSync } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { type Authentication, noAuthentication } from '../../../core/http/authentication.js';
import { registerHealthRoutes } from '../../../core/http/health-routes.js';
import { createHttpServer } from '../../../core/http/server.js';
import type { Logger } from '../../../core/std/logger.js';
import { registerInfluxqlRoute } from '../../../ingest/http/influxql-route.js';
import {
  registerWriteRoutes,
  type WriteRouteLimits,
  type WriteRouteMetrics,
} from '../../../ingest/http/write-routes.js';
import { newCaches } from '../line-protocol/decode.js';
import { RecordingSink } from './recording-sink.js';

export interface TestServer {
  readonly server: FastifyInstance;
  readonly sink: RecordingSink;
  /** Every log line as JSON. */
  readonly logged: string[];
  /** Resolves once there is a log line. */
  readonly untilLogged: Promise<void>;
  problems: readonly string[];
}

export const nowMs = 1_700_000_000_000;

export async function startTestServer(
  options: {
    readonly authentication?: Authentication;
    readonly limits?: Partial<WriteRouteLimits>;
    readonly metrics?: WriteRouteMetrics;
  } = {},
): Promise<TestServer> {
  const logged: string[] = [];
  let onLogged = (): void => {};
  const untilLogged = new Promise<void>((resolve) => {
    onLogged = resolve;
  });
  const log = (fields: object, message: string): void => {
    logged.push(JSON.stringify({ ...fields, message }));
    onLogged();
  };
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const clock = { nowMs: () => nowMs, monotonicMs: () => 5, sleep: async () => {} };
  const random = { next: () => 0.5, bytes: (length: number) => randomFillSync(new Uint8Array(length)) };
  const authentication = options.authentication ?? noAuthentication;
  const server = createHttpServer({ authentication, clock, random, logger });
  const sink = new RecordingSink();
  const test: TestServer = { server, sink, logged, untilLogged, problems: [] };
  registerHealthRoutes(server, {
    version: '1.2.3',
    ready: async () => test.problems,
    metrics: async () => 'varve_up 1\n',
  });
  const limits = { compressedBytesMax: 1 << 20, bodyBytesMax: 4 << 20, ...options.limits };
  const metrics = options.metrics === undefined ? {} : { metrics: options.metrics };
  await registerWriteRoutes(server, { sink, clock, caches: newCaches(), limits, ...metrics });
  await registerInfluxqlRoute(server, sink);
  await server.ready();
  return test;
}
