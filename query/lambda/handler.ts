import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Context } from 'aws-lambda';
import { type LambdaGround, openLambdaGround } from '../../cli/lambda/lambda-ground.js';
import type { LambdaSettings } from '../../cli/lambda/lambda-settings.js';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import { noAuthentication, readTokenFile } from '../../core/http/authentication.js';
import { createHttpServer } from '../../core/http/server.js';
import { ParquetFiles } from '../cache/parquet-files.js';
import { DuckDbEngine } from '../engine/duckdb-engine.js';
import { type EngineWatch, stuckAfterMsDefault } from '../engine/engine-watch.js';
import { registerQueryRoutes } from '../http/query-routes.js';
import { registerIcebergCatalogRoutes } from '../iceberg-catalog/catalog-routes.js';
import { IcebergCatalog } from '../iceberg-catalog/iceberg-catalog.js';
import { OwnerHotReader } from '../owner-hot-reader.js';
import { noQueryMetrics } from '../query-metrics.js';
import { defaultQueryLimits, QueryService } from '../query-service.js';
import { queryCatalog } from '../query-sources.js';
import type { HttpEvent } from './http-event.js';
import { QueryFunction } from './query-function.js';

/**
 * The querier on AWS Lambda, behind a function URL or an HTTP API of API Gateway (payload format 2.0). A composition
 * root; engine, cache and connections live as long as the execution environment.
 */

const mebibyte = 2 ** 20;
/** Kept of an invocation's time for answering that the time limit was met. */
const answerWithinMs = 1_000;
/** Memory of a function that comes with one whole vCPU. */
const memoryMiBPerCpu = 1769;
const cacheRoot = '/tmp/varve';

const ground = await openLambdaGround();
const parts = await openParts(ground);
let queryFunction: QueryFunction | undefined;

/** Opens what does not depend on the invocation, while Lambda starts the environment. */
async function openParts({ settings, objects, clock, logger }: LambdaGround) {
  const root = settings.text('VARVE_CACHE_DIR') ?? cacheRoot;
  const memoryMiB = settings.count('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', 1024);
  const files = new ParquetFiles({
    objects,
    disk: new FileSystemDisk(`${root}/files`),
    root: `${root}/files`,
    bytesMax: settings.sizeBytes('VARVE_CACHE_BYTES_MAX', 256 * mebibyte),
    metrics: noQueryMetrics,
  });
  // On the function's one thread: it answers one request at a time, so there is nobody whom the engine could keep waiting.
  const watch: EngineWatch = {
    clock,
    stuckAfterMs: stuckAfterMsDefault,
    onDefect: (defect) => {
      logger.error(
        { defect },
        'the query engine answers nothing any more; the next request gets a new environment',
      );
      // Not an exit, which would wait for what is stuck. The environment serves one request at a time, and that one is lost.
      process.kill(process.pid, 'SIGKILL');
    },
  };
  const engine = DuckDbEngine.open(
    {
      threads: settings.count('VARVE_QUERY_THREADS', Math.max(1, Math.round(memoryMiB / memoryMiBPerCpu))),
      memoryBytesMax: settings.sizeBytes('VARVE_QUERY_MEMORY', (memoryMiB * mebibyte) / 2),
      spillDirectory: `${root}/spill`,
      spillBytesMax: settings.sizeBytes('VARVE_QUERY_SPILL', 128 * mebibyte),
      settledDirectories: [`${root}/files`],
    },
    watch,
  );
  await files.start();
  return { files, engine: await engine };
}

/** Opened with the first invocation: only an invocation knows how long one may take. */
function openFunction({ settings, ...rest }: LambdaGround, remainingMs: number): QueryFunction {
  const { catalogs, settled, objects, nodes, clock, random, logger } = rest;
  const catalog = queryCatalog(catalogs);
  const service = new QueryService({
    ...parts,
    catalog,
    settled,
    hot: new OwnerHotReader({ nodeOf: nodes, clock }),
    clock,
    limits: {
      ...defaultQueryLimits,
      timeMs: Math.min(
        settings.durationMs('VARVE_QUERY_TIMEOUT', defaultQueryLimits.timeMs),
        Math.max(remainingMs - answerWithinMs, remainingMs / 2),
      ),
      hotBytesMax: settings.sizeBytes('VARVE_QUERY_HOT_BYTES', 128 * mebibyte),
    },
    metrics: noQueryMetrics,
    logger,
  });
  const server = createHttpServer({ authentication: authenticationOf(settings), clock, random, logger });
  registerQueryRoutes(server, service);
  const listDatabases = (signal?: AbortSignal) => catalogs.databases.list(signal);
  registerIcebergCatalogRoutes(
    server,
    new IcebergCatalog({ catalog: { ...catalog, listDatabases }, objects }),
    logger,
  );
  return new QueryFunction(server);
}

/** None by default: IAM stands before a function URL, an authorizer before an API. */
function authenticationOf(settings: LambdaSettings) {
  const path = settings.text('VARVE_TOKEN_FILE');
  return path === undefined ? noAuthentication : readTokenFile(readFileSync(path, 'utf8'));
}

function functionFor(context: Context): QueryFunction {
  queryFunction ??= openFunction(ground, context.getRemainingTimeInMillis());
  return queryFunction;
}

/** Whether this runs in Lambda's own runtime. The SDK of AWS makes the global as well, so that it be there is not enough. */
const canStream = typeof awslambda !== 'undefined' && typeof awslambda.streamifyResponse === 'function';

/** Streams where Lambda's runtime can and the event came by a function URL; otherwise answers with one value. */
export const handler = !canStream
  ? (event: HttpEvent, context: Context) => functionFor(context).buffered(event)
  : awslambda.streamifyResponse((event: HttpEvent, stream: Writable, context: Context) =>
      functionFor(context).streamed(event, stream, (to, head) => awslambda.HttpResponseStream.from(to, head)),
    );
