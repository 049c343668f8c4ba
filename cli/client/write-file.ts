import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { VarveError } from '../../core/std/errors.js';
import { type ApiClient, ApiError } from './api-client.js';
import { lineChunks } from './line-chunks.js';

/** How a file is written. */
export interface WriteFileOptions {
  readonly database: string;
  /** One of auto, nanosecond, microsecond, millisecond, second. */
  readonly precision: string;
  readonly consistency?: string;
  /** Bytes of line protocol a request. */
  readonly requestBytes: number;
  /** Requests under way at once. */
  readonly concurrency: number;
  /** How often one piece is sent again while the server says that it may be. */
  readonly retriesMax: number;
  readonly sleep: (delayMs: number) => Promise<void>;
  readonly onProgress?: (bytesDone: number, bytesTotal: number | null, linesDone: number) => void;
  readonly signal?: AbortSignal;
}

/** What became of the lines. */
export interface WriteFileReport {
  readonly linesSent: number;
  readonly rejected: readonly {
    readonly lineNumber: number;
    readonly message: string;
    readonly line: string;
  }[];
  /** Rejections beyond those listed. */
  readonly rejectedMore: number;
}

/**
 * Writes line protocol from a file (`-` for standard input; gzip is recognised by its first bytes) piece by piece. A
 * piece the server cannot take now is sent again, which is safe: points are idempotent.
 */
export async function writeFile(
  client: ApiClient,
  path: string,
  options: WriteFileOptions,
): Promise<WriteFileReport> {
  const bytesTotal = path === '-' ? null : (await stat(path)).size;
  let bytesRead = 0;
  let linesSent = 0;
  let firstLine = 1;
  let rejectedMore = 0;
  const rejected: { lineNumber: number; message: string; line: string }[] = [];
  const source = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 20 });
  const counted = countBytes(source, (bytes) => {
    bytesRead += bytes;
  });

  const running = new Set<Promise<void>>();
  for await (const piece of lineChunks(unzipped(counted), options.requestBytes)) {
    options.signal?.throwIfAborted();
    const startLine = firstLine;
    const lines = countLines(piece);
    firstLine += lines;
    const work = sendPiece(client, piece, options)
      .then((answer) => {
        rejected.push(
          ...answer.listed.map((row) => ({ ...row, lineNumber: row.lineNumber + startLine - 1 })),
        );
        rejectedMore += answer.more;
        linesSent += lines;
        options.onProgress?.(bytesRead, bytesTotal, linesSent);
      })
      .finally(() => running.delete(work));
    running.add(work);
    if (running.size >= options.concurrency) await Promise.race(running);
  }
  await Promise.all(running);
  rejected.sort((left, right) => left.lineNumber - right.lineNumber);
  return { linesSent, rejected, rejectedMore };
}

interface PieceAnswer {
  readonly listed: readonly {
    readonly lineNumber: number;
    readonly message: string;
    readonly line: string;
  }[];
  readonly more: number;
}

async function sendPiece(
  client: ApiClient,
  piece: Uint8Array,
  options: WriteFileOptions,
): Promise<PieceAnswer> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await client.request('/api/v3/write_lp', {
        method: 'POST',
        query: { db: options.database, precision: options.precision, consistency: options.consistency },
        body: piece,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      await response.arrayBuffer();
      return { listed: [], more: 0 };
    } catch (error) {
      if (error instanceof ApiError && error.status === 400) {
        const answer = rejections(error.body);
        if (answer !== undefined) return answer;
      }
      const mayRetry =
        error instanceof ApiError ? error.status === 429 || error.status >= 500 : error instanceof VarveError;
      if (!mayRetry || attempt >= options.retriesMax) throw error;
      const waitSeconds = error instanceof ApiError ? (error.retryAfterSeconds ?? 1) : 1;
      await options.sleep(waitSeconds * 1000);
    }
  }
}

/** The rejected lines of a partial-write answer; undefined when the answer is of another kind. */
function rejections(body: unknown): PieceAnswer | undefined {
  if (typeof body !== 'object' || body === null || !('data' in body) || !Array.isArray(body.data))
    return undefined;
  const listed = (
    body.data as { line_number?: unknown; original_line?: unknown; error_message?: unknown }[]
  ).map((row) => ({
    lineNumber: Number(row.line_number),
    line: String(row.original_line ?? ''),
    message: String(row.error_message ?? ''),
  }));
  const total = 'rejected_lines' in body ? Number(body.rejected_lines) : listed.length;
  return { listed, more: Math.max(0, total - listed.length) };
}

async function* countBytes(
  source: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of source) {
    count(bytes.length);
    yield bytes;
  }
}

/** The bytes themselves, or what they unzip to when they begin like gzip. */
async function* unzipped(source: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const first = await source.next();
  if (first.done === true) return;
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield first.value as Uint8Array;
    yield* source;
  }
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
    yield* whole();
    return;
  }
  // The pipeline's failure also ends the reading of its last part, so the callback has nothing left to do.
  yield* pipeline(
    Readable.from(whole(), { objectMode: false }),
    createGunzip(),
    () => {},
  ) as AsyncIterable<Uint8Array>;
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === 10) lines += 1;
  return bytes.length > 0 && bytes.at(-1) !== 10 ? lines + 1 : lines;
}
