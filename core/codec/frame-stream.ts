import { errorMessage, VarveError } from '../std/errors.js';
import { errorFromWire, errorToWire } from './wire-error.js';

/**
 * Pieces of bytes over a byte stream that keeps neither their boundaries nor errors: each frame is a kind (1 byte), a
 * length (4 bytes, little-endian) and so many bytes. A stream is whole when its last frame is `end` or `error`.
 */
const frameKinds = { piece: 0, end: 1, error: 2 } as const;
const headerBytes = 5;
/** No piece is near it: a record batch is at most 32 MiB by far, a batch as long as a request. */
const frameBytesMax = 2 ** 30;

/** Frames the pieces. An error of `pieces` becomes the last frame, with its kind; the generator itself does not throw. */
export async function* encodeFrames(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of pieces) {
      yield frameHeader(frameKinds.piece, piece.length);
      yield piece;
    }
    yield frameHeader(frameKinds.end, 0);
  } catch (error) {
    const body = Buffer.from(JSON.stringify(errorToWire(error)), 'utf8');
    yield frameHeader(frameKinds.error, body.length);
    yield body;
  }
}

/**
 * The pieces that encodeFrames was given, each in a buffer of its own. Throws the error that ended them there,
 * `unavailable` when the stream breaks off, `corrupt` when the bytes are no frames.
 *
 * @param source names the sender in errors
 */
export async function* decodeFrames(
  bytes: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(bytes, source);
  try {
    for (;;) {
      const header = await reader.take(headerBytes);
      const kind = header[0];
      const length = new DataView(header.buffer).getUint32(1, true);
      if (length > frameBytesMax) {
        throw new VarveError(
          'corrupt',
          `${source}: got a frame of ${length} bytes; want at most ${frameBytesMax}`,
        );
      }
      if (kind === frameKinds.piece) yield await reader.take(length);
      else if (kind === frameKinds.error) {
        const error = errorFromWire(readError(await reader.take(length)));
        await reader.end();
        throw error;
      } else if (kind === frameKinds.end && length === 0) return await reader.end();
      else throw new VarveError('corrupt', `${source}: got a frame of kind ${kind}; want 0, 1 or 2`);
    }
  } finally {
    await reader.stop();
  }
}

function frameHeader(kind: number, length: number): Uint8Array {
  const header = new Uint8Array(headerBytes);
  header[0] = kind;
  new DataView(header.buffer).setUint32(1, length, true);
  return header;
}

function readError(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (error) {
    throw new VarveError('corrupt', `got an error frame that is no JSON: ${errorMessage(error)}`);
  }
}

/** Takes so many bytes at a time from chunks of any length. */
class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #source: string;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(bytes: AsyncIterable<Uint8Array>, source: string) {
    this.#iterator = bytes[Symbol.asyncIterator]();
    this.#source = source;
  }

  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      if (this.#chunk.length === 0) {
        const next = await this.#iterator.next();
        if (next.done === true) {
          throw new VarveError('unavailable', `${this.#source}: the answer broke off`, {
            retryAfterSeconds: 1,
          });
        }
        this.#chunk = next.value;
      }
      const part = this.#chunk.subarray(0, length - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return taken;
  }

  /** Reads to the end of the bytes, so that the connection below is free for the next call. */
  async end(): Promise<void> {
    if (this.#chunk.length > 0 || (await this.#iterator.next()).done !== true) {
      throw new VarveError('corrupt', `${this.#source}: got bytes after the last frame`);
    }
  }

  async stop(): Promise<void> {
    await this.#iterator.return?.();
  }
}
