import type { FastifyInstance, FastifyRequest } from 'fastify';
import { pathOf } from '../../core/http/server.js';
import type { Clock } from '../../core/ports/clock.js';
import {
  type DecodedWrite,
  type LineProtocolCaches,
  LineProtocolDecoder,
} from '../protocols/line-protocol/decoder.js';
import type { WriteApi } from '../protocols/line-protocol/precision.js';
import { rowText } from '../protocols/line-protocol/row-text.js';
import {
  type CommitReport,
  LevelNotMetError,
  type RowRejection,
  type WriteSession,
  type WriteSink,
} from '../write-contract.js';
import { BufferRelease } from './buffer-release.js';
import { type BodyLimits, readBody } from './request-body.js';
import {
  levelNotMetAnswer,
  listedLinesMax,
  type UnwrittenLine,
  type WriteAnswer,
  writeAnswer,
} from './write-answer.js';
import { parseWriteParameters, type WriteParameters } from './write-parameters.js';

/** Told of every write request that was read to its end. */
export interface WriteRouteMetrics {
  lines(api: WriteApi, written: number, rejected: number): void;
  /** Bytes of line protocol after decompression. */
  bodyBytes(api: WriteApi, bytes: number): void;
}

/** Counts nothing. */
export const noWriteRouteMetrics: WriteRouteMetrics = { lines() {}, bodyBytes() {} };

export interface WriteRoutesOptions {
  readonly sink: WriteSink;
  readonly clock: Clock;
  readonly caches: LineProtocolCaches;
  readonly limits: WriteRouteLimits;
  readonly metrics?: WriteRouteMetrics;
}

export interface WriteRouteLimits extends BodyLimits {
  readonly lineBytesMax?: number;
  readonly rowBytesMax?: number;
}

/** Limits that take what Telegraf and the InfluxDB clients send by far. */
export const defaultWriteRouteLimits: WriteRouteLimits = {
  compressedBytesMax: 32 << 20,
  bodyBytesMax: 128 << 20,
};

const routes: readonly (readonly [path: string, api: WriteApi])[] = [
  ['/write', 'v1'],
  ['/api/v2/write', 'v2'],
  ['/api/v3/write_lp', 'v3'],
];

/** Registers the three write endpoints. Bodies are streamed into the decoder; nothing is written before their end. */
export async function registerWriteRoutes(
  server: FastifyInstance,
  options: WriteRoutesOptions,
): Promise<void> {
  const release = new BufferRelease();
  // A scope of its own: in here every content type is left as the stream it is.
  await server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const [path, api] of routes) {
      scope.post(path, { bodyLimit: Number.MAX_SAFE_INTEGER }, async (request, reply) => {
        const answer = await answerWrite(api, request, options, release);
        return reply
          .code(answer.status)
          .headers(answer.headers ?? {})
          .send(answer.body);
      });
    }
  });
}

async function answerWrite(
  api: WriteApi,
  request: FastifyRequest,
  options: WriteRoutesOptions,
  release: BufferRelease,
): Promise<WriteAnswer> {
  const parameters = parseWriteParameters(api, request.query);
  const session = await options.sink.begin(parameters.request);
  const pieces = readBody(request.raw, options.limits, release);
  const decoded = await decodeBody(api, pieces, session, parameters, options);
  try {
    return await write(api, session, decoded, parameters, options);
  } catch (error) {
    if (error instanceof LevelNotMetError) return levelNotMetAnswer(pathOf(request), error);
    throw error;
  }
}

async function decodeBody(
  api: WriteApi,
  pieces: AsyncIterable<Uint8Array>,
  session: WriteSession,
  parameters: WriteParameters,
  options: WriteRoutesOptions,
): Promise<DecodedWrite> {
  const decoder = new LineProtocolDecoder({
    schemaOf: (table) => session.schemaOf(table),
    precision: parameters.precision,
    nowNs: serverTimeNs(options.clock),
    caches: options.caches,
    limits: { ...session.limits, ...options.limits, rejectedDetailsMax: listedLinesMax },
  });
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    decoder.push(piece);
  }
  options.metrics?.bodyBytes(api, bytes);
  return decoder.finish();
}

/**
 * The time for lines without one. The wall clock has milliseconds only; the monotonic clock's fraction keeps the
 * lines of requests within one millisecond apart.
 */
function serverTimeNs(clock: Clock): bigint {
  const microseconds = Math.floor((clock.monotonicMs() % 1) * 1000);
  return BigInt(clock.nowMs()) * 1_000_000n + BigInt(microseconds) * 1000n;
}

async function write(
  api: WriteApi,
  session: WriteSession,
  decoded: DecodedWrite,
  { acceptPartial }: WriteParameters,
  { metrics }: WriteRoutesOptions,
): Promise<WriteAnswer> {
  const refused = decoded.rejectedCount > 0 && !acceptPartial;
  const report: CommitReport =
    refused || decoded.tables.length === 0
      ? { written: 0, rejected: [] }
      : await session.commit(decoded.tables, { acceptPartial });
  const rejectedCount = decoded.rejectedCount + report.rejected.length;
  metrics?.lines(api, report.written, rejectedCount);
  return writeAnswer(api, {
    decoded: decoded.lineCount - decoded.rejectedCount,
    written: report.written,
    rejectedCount,
    rejected: mergeRejected(decoded, report.rejected),
  });
}

/** The first rejected lines of both stages, in order of line. */
function mergeRejected(decoded: DecodedWrite, late: readonly RowRejection[]): readonly UnwrittenLine[] {
  if (late.length === 0) return decoded.rejected;
  const first = [...late].sort((left, right) => left.lineNumber - right.lineNumber).slice(0, listedLinesMax);
  const lateLines = first.map(({ lineNumber, message }) => ({
    lineNumber,
    line: lineText(decoded, lineNumber),
    message,
  }));
  return [...decoded.rejected, ...lateLines]
    .sort((left, right) => left.lineNumber - right.lineNumber)
    .slice(0, listedLinesMax);
}

/** The text of a line is gone once it is decoded; its row is written out again. */
function lineText(decoded: DecodedWrite, lineNumber: number): string {
  for (const { rows, lineNumbers } of decoded.tables) {
    const row = lineNumbers.indexOf(lineNumber);
    if (row !== -1) return rowText(rows, row).slice(0, 256);
  }
  return '';
}
