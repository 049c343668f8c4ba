import type { IncomingMessage } from 'node:http';
import { createGunzip } from 'node:zlib';
import { VarveError } from '../../core/std/errors.js';
import { formatSizeBytes } from '../../core/std/units.js';
import type { BufferRelease } from './buffer-release.js';

export interface BodyLimits {
  /** Bytes as they come over the wire. */
  readonly compressedBytesMax: number;
  /** Bytes after decompression, or of a plain body. */
  readonly bodyBytesMax: number;
}

const gunzipChunkBytes = 1 << 16;

/**
 * The body of a request piece by piece, decompressed. A piece holds until the next one is asked for. The limits hold while it streams, so that a gzip bomb stops
 * after `bodyBytesMax`. Leaving the loop early leaves the connection usable: what is left of the body is thrown
 * away once the request is answered.
 *
 * Errors: `too-large`; `invalid` for an unknown encoding and for damaged or truncated gzip; `cancelled` when the
 * client goes away before the end.
 */
export async function* readBody(
  message: IncomingMessage,
  limits: BodyLimits,
  release: BufferRelease,
): AsyncGenerator<Uint8Array> {
  const compressed = isGzip(message.headers['content-encoding']);
  const wireBytesMax = compressed ? limits.compressedBytesMax : limits.bodyBytesMax;
  const announced = Number(message.headers['content-length'] ?? 0);
  if (announced > wireBytesMax) throw tooLarge(`a body of ${formatSizeBytes(announced)}`, wireBytesMax);
  const pieces = compressed ? gunzipped(message, wireBytesMax) : received(message, release);
  let total = 0;
  for await (const piece of pieces) {
    total += piece.length;
    if (total > limits.bodyBytesMax) {
      throw tooLarge(compressed ? 'a body that unpacks to more' : 'a larger body', limits.bodyBytesMax);
    }
    yield piece;
  }
}

function isGzip(encoding: string | undefined): boolean {
  switch (encoding?.trim().toLowerCase()) {
    case undefined:
    case '':
    case 'identity':
      return false;
    case 'gzip':
    case 'x-gzip':
      return true;
    default:
      throw new VarveError('invalid', `got Content-Encoding "${encoding}"; want gzip, or none`);
  }
}

async function* received(message: IncomingMessage, release: BufferRelease): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of message.iterator({ destroyOnReturn: false })) {
      yield piece;
      release.release(piece);
    }
  } catch (error) {
    throw gone(error);
  } finally {
    message.resume();
  }
}

async function* gunzipped(message: IncomingMessage, wireBytesMax: number): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: gunzipChunkBytes });
  let wireBytes = 0;
  const count = (piece: Uint8Array): void => {
    wireBytes += piece.length;
    if (wireBytes > wireBytesMax) gunzip.destroy(tooLarge('a larger compressed body', wireBytesMax));
  };
  const onClose = (): void => {
    if (!message.complete) gunzip.destroy(gone(undefined));
  };
  const onError = (error: Error): void => {
    gunzip.destroy(gone(error));
  };
  message.on('data', count).on('close', onClose).on('error', onError);
  message.pipe(gunzip);
  try {
    for await (const piece of gunzip) yield piece;
  } catch (error) {
    throw error instanceof VarveError
      ? error
      : new VarveError('invalid', `got a body that is not whole gzip (${describe(error)})`, { cause: error });
  } finally {
    message.unpipe(gunzip);
    message.off('data', count).off('close', onClose);
    message.resume();
  }
}

function gone(cause: unknown): VarveError {
  return new VarveError('cancelled', 'the client went away before the end of its request', { cause });
}

function tooLarge(got: string, bytesMax: number): VarveError {
  return new VarveError(
    'too-large',
    `got ${got}; want at most ${formatSizeBytes(bytesMax)}, send it in smaller parts`,
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
