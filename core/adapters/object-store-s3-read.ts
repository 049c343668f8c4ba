import type { Readable } from 'node:stream';
import { GetObjectCommand, type GetObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../ports/clock.js';
import type { Random } from '../ports/random.js';
import { errorMessage, VarveError } from '../std/errors.js';
import { requestOptions } from './aws-client.js';
import { awsFaultOf } from './aws-errors.js';
import type { S3Target } from './object-store-s3-upload.js';

export interface ObjectReaderOptions {
  readonly client: S3Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly partBytes: number;
  /** Objects larger than this are read in parts, several at once. */
  readonly parallelBytes: number;
}

/** An answer whose body is still to come. */
interface OpenedBody {
  readonly answer: GetObjectCommandOutput;
  /** Ends a body that is not wanted, so that its connection does not stay taken. */
  readonly discard: () => void;
}

/** A body that ended early or late, or was not the part that was asked for. */
class TornBody extends Error {
  override readonly name = 'TornBody';
}

const bodyAttemptsMax = 4;
const partsAtOnce = 4;
const backOffMs = 50;

/**
 * Reads objects whole. The SDK tries again until an answer begins; from there on it is up to this class, which takes
 * a body for whole only when it has the length that the answer gave it.
 */
export class ObjectReader {
  readonly #options: ObjectReaderOptions;

  constructor(options: ObjectReaderOptions) {
    this.#options = options;
  }

  /** The object's bytes. Fails with errors of the SDK. */
  read(target: S3Target, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return this.#untilWhole(target, signal, async () => {
      const { answer, discard } = await this.#open(target, undefined, signal);
      const bytes = answer.ContentLength;
      if (bytes !== undefined && bytes > this.#options.parallelBytes) {
        discard();
        return this.#readParts(target, answer.ETag, bytes, signal);
      }
      return collect(answer, discard);
    });
  }

  /** Bytes from `offset` on, `length` of them or up to the object's end. */
  readRange(
    target: S3Target,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    return this.#untilWhole(target, signal, async () => {
      const range = `bytes=${offset}-${offset + length - 1}`;
      const opened = await this.#open({ ...target, Range: range }, undefined, signal).catch(pastTheEnd);
      if (opened === undefined) return new Uint8Array();
      const { answer, discard } = opened;
      const got = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.ContentRange ?? '');
      const wanted = got === null ? -1 : Math.max(0, Math.min(length, Number(got[3]) - offset));
      if (wanted === 0) {
        discard();
        return new Uint8Array();
      }
      if (Number(got?.[1]) !== offset || answer.ContentLength !== wanted) {
        discard();
        throw new TornBody(`asked for ${range}; got ${answer.ContentRange ?? 'the whole object'}`);
      }
      return collect(answer, discard);
    });
  }

  async #open(
    request: S3Target & { readonly Range?: string },
    etag: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<OpenedBody> {
    const input = { ...request, ...(etag === undefined ? {} : { IfMatch: etag }) };
    const giveUp = new AbortController();
    const either = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
    const answer = await this.#options.client.send(new GetObjectCommand(input), requestOptions(either));
    const body = answer.Body as Partial<Pick<Readable, 'on'>> | undefined;
    // A body that is given up breaks off; an error that nobody listens to would end the process.
    body?.on?.('error', () => undefined);
    return { answer, discard: () => giveUp.abort() };
  }

  /** Parts of one version of the object, several at once. */
  async #readParts(
    target: S3Target,
    etag: string | undefined,
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { partBytes } = this.#options;
    const into = new Uint8Array(bytes);
    const giveUp = new AbortController();
    const both = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < bytes) {
        const start = next;
        const end = Math.min(bytes, start + partBytes);
        next = end;
        const part = await this.#untilWhole(target, both, async () => {
          const range = { ...target, Range: `bytes=${start}-${end - 1}` };
          const { answer, discard } = await this.#open(range, etag, both);
          return collect(answer, discard);
        });
        if (part.length !== end - start) throw new TornBody(`got ${part.length} bytes; want ${end - start}`);
        into.set(part, start);
      }
    };
    const lanes = Array.from({ length: partsAtOnce }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      giveUp.abort();
      await Promise.allSettled(lanes);
      throw error;
    }
    return into;
  }

  /** Runs `read` again while bodies break off. */
  async #untilWhole(
    target: S3Target,
    signal: AbortSignal | undefined,
    read: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await read();
      } catch (error) {
        signal?.throwIfAborted();
        const isTorn = error instanceof TornBody || isChecksumError(error) || isBodyError(error);
        if (!isTorn) throw error;
        if (attempt === bodyAttemptsMax) throw tornError(target, attempt, error);
        const { clock, random } = this.#options;
        await clock.sleep(backOffMs * 2 ** attempt * random.next(), signal);
      }
    }
  }
}

/** Undefined for a range that begins at or past the end, which says that the object exists. */
function pastTheEnd(error: unknown): undefined {
  if (error instanceof Error && error.name === 'InvalidRange') return undefined;
  throw error;
}

/** Reads the body into memory of exactly the length that the answer announced. */
async function collect(answer: GetObjectCommandOutput, discard: () => void): Promise<Uint8Array> {
  const bytes = answer.ContentLength;
  if (bytes === undefined) {
    discard();
    throw new TornBody('got an answer without a length');
  }
  const into = new Uint8Array(bytes);
  let filled = 0;
  for await (const piece of (answer.Body as AsyncIterable<Uint8Array> | undefined) ?? []) {
    if (filled + piece.length > bytes) throw new TornBody(`got more than the ${bytes} bytes announced`);
    into.set(piece, filled);
    filled += piece.length;
  }
  if (filled !== bytes) throw new TornBody(`got ${filled} bytes; want ${bytes}`);
  return into;
}

/** The connection broke while the body came; errors of requests carry metadata of an answer or of their tries. */
function isBodyError(error: unknown): boolean {
  return error instanceof Error && !('$metadata' in error) && awsFaultOf(error) === 'unreachable';
}

function isChecksumError(error: unknown): boolean {
  return error instanceof Error && /checksum mismatch/i.test(error.message);
}

function tornError(target: S3Target, attempts: number, error: unknown): VarveError {
  const kind = isChecksumError(error) ? 'corrupt' : 'unavailable';
  return new VarveError(
    kind,
    `get ${target.Key} from S3 bucket ${target.Bucket}: no whole body in ${attempts} tries (${errorMessage(error)})`,
    { retryAfterSeconds: 5, cause: error },
  );
}
