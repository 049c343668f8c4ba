import {
  DeleteObjectsCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Clock } from '../ports/clock.js';
import type { ObjectInfo, ObjectStore } from '../ports/object-store.js';
import type { Random } from '../ports/random.js';
import { isVarveError, VarveError } from '../std/errors.js';
import {
  type AwsConnection,
  attemptMiddleware,
  attemptPlace,
  clientSettings,
  requestOptions,
} from './aws-client.js';
import { type AwsResource, awsFailure, awsFaultOf, statusOf } from './aws-errors.js';
import { checkObjectKey, checkObjectPrefix, checkRange, isObjectKey } from './object-key.js';
import { ObjectReader } from './object-store-s3-read.js';
import { ObjectUploader, type S3Target } from './object-store-s3-upload.js';

/** Where the objects are: `s3://bucket/prefix`. */
export interface S3Location {
  readonly bucket: string;
  /** Empty, or segments joined by slashes. */
  readonly prefix: string;
}

export interface S3ObjectStoreOptions {
  readonly location: S3Location;
  readonly clock: Clock;
  readonly random: Random;
  readonly connection?: AwsConnection;
  /** The bucket in the path of the URL, not in its host name; most emulators want it. */
  readonly pathStyle?: boolean;
  /** Objects larger than this go up in parts of this size; at least 5 MiB. Default 16 MiB. */
  readonly partBytes?: number;
  /** Objects larger than this come down in parts of `partBytes`, several at once. Default 64 MiB. */
  readonly parallelReadBytes?: number;
  /** `required` for services that do not understand the SDK's checksums. Default: the SDK's own setting, CRC-32. */
  readonly checksums?: 'supported' | 'required';
  /** Objects a page of a listing, at most 1,000. */
  readonly listPageMax?: number;
}

const keyBytesMax = 1024;
const deleteBatchMax = 1000;
const deleteAttemptsMax = 4;
const partBytesMin = 5 * 2 ** 20;
const bounds = {
  attemptsMax: 5,
  connectMsMax: 3_000,
  answerMsMax: 30_000,
  silenceMsMax: 20_000,
  connectionsMax: 64,
};

/** Reads `s3://bucket` or `s3://bucket/prefix`. Errors: `invalid` with the form wanted. */
export function parseS3Location(url: string): S3Location {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url);
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '');
  // Other engines read the URIs in Iceberg metadata with different ideas of escapes; these characters need none.
  if (match?.[1] !== undefined && /^([A-Za-z0-9._=-]+(\/[A-Za-z0-9._=-]+)*)?$/.test(prefix))
    return { bucket: match[1], prefix };
  throw new VarveError(
    'invalid',
    `got the object store "${url}"; want s3://bucket/prefix, the prefix of A-Z a-z 0-9 . _ = - and slashes`,
  );
}

/**
 * Objects in an S3 bucket. Puts carry checksums that S3 verifies; large objects go up in parts and come down in parts;
 * a body that ends early is read again, never returned. Unlike a file system a bucket holds both `a` and `a/b`.
 */
export class S3ObjectStore implements ObjectStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Empty, or ends in a slash. */
  readonly #prefix: string;
  readonly #options: S3ObjectStoreOptions;
  readonly #resource: AwsResource;
  readonly #reader: ObjectReader;
  readonly #uploader: ObjectUploader;

  /** @throws VarveError `invalid` for settings that S3 would refuse */
  constructor(options: S3ObjectStoreOptions) {
    const { location, connection = {}, checksums } = options;
    const partBytes = options.partBytes ?? 16 * 2 ** 20;
    if (partBytes < partBytesMin)
      throw new VarveError('invalid', `S3 parts: got ${partBytes} bytes; want at least ${partBytesMin}`);
    this.#options = options;
    this.#bucket = location.bucket;
    this.#prefix = location.prefix === '' ? '' : `${location.prefix}/`;
    const whenever = checksums === 'required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
    this.#client = new S3Client({
      ...clientSettings(connection, bounds),
      ...(options.pathStyle === undefined ? {} : { forcePathStyle: options.pathStyle }),
      ...(checksums === undefined
        ? {}
        : { requestChecksumCalculation: whenever, responseChecksumValidation: whenever }),
    });
    if (connection.onAttempt !== undefined)
      this.#client.middlewareStack.add(attemptMiddleware(connection.onAttempt), attemptPlace);
    this.#resource = {
      service: 'S3',
      name: `bucket ${this.#bucket}`,
      missingRemedy: 'make the bucket or name another with --object-store',
    };
    const { clock, random } = options;
    this.#reader = new ObjectReader({
      client: this.#client,
      clock,
      random,
      partBytes,
      parallelBytes: options.parallelReadBytes ?? 64 * 2 ** 20,
    });
    this.#uploader = new ObjectUploader({ client: this.#client, partBytes });
  }

  put(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#guard(`put ${key}`, signal, () => this.#uploader.upload(this.#target(key), bytes, signal));
  }

  get(key: string, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#guard(`get ${key}`, signal, () => this.#reader.read(this.#target(key), signal));
  }

  async getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(key, offset, length);
    if (length === 0) {
      await this.head(key, signal);
      return new Uint8Array();
    }
    return this.#guard(`get ${key}`, signal, () =>
      this.#reader.readRange(this.#target(key), offset, length, signal),
    );
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectInfo> {
    return this.#guard(`head ${key}`, signal, async () => {
      const answer = await this.#client.send(
        new HeadObjectCommand(this.#target(key)),
        requestOptions(signal),
      );
      return objectInfo(key, answer.ContentLength, answer.LastModified);
    });
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo> {
    checkObjectPrefix(prefix);
    let token: string | undefined;
    do {
      const page = await this.#guard(`list ${prefix}`, signal, () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#prefix + prefix,
            ...(token === undefined ? {} : { ContinuationToken: token }),
            ...(this.#options.listPageMax === undefined ? {} : { MaxKeys: this.#options.listPageMax }),
          }),
          requestOptions(signal),
        ),
      );
      for (const found of page.Contents ?? []) {
        const key = (found.Key ?? '').slice(this.#prefix.length);
        // What others put into the bucket under names that no object of ours can have is none of ours.
        if (isObjectKey(key)) yield objectInfo(key, found.Size, found.LastModified);
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    keys.forEach(checkObjectKey);
    const unique = [...new Set(keys)];
    for (let at = 0; at < unique.length; at += deleteBatchMax) {
      await this.#deleteBatch(unique.slice(at, at + deleteBatchMax), signal);
    }
  }

  localPath(key: string): undefined {
    checkObjectKey(key);
    return undefined;
  }

  uriOf(key: string): string {
    checkObjectKey(key);
    return `${this.#uriPrefix()}${key.split('/').map(encodeURIComponent).join('/')}`;
  }

  keyOf(uri: string): string {
    const prefix = this.#uriPrefix();
    if (!uri.startsWith(prefix))
      throw new VarveError('invalid', `got object URI ${uri}; want one of this store, ${prefix}…`);
    const key = decodePath(uri.slice(prefix.length));
    if (key === undefined)
      throw new VarveError('invalid', `got object URI ${uri}; want escapes of two hex digits`);
    checkObjectKey(key);
    return key;
  }

  check(signal?: AbortSignal): Promise<void> {
    return this.#guard('check', signal, async () => {
      try {
        await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }), requestOptions(signal));
      } catch (error) {
        const fault = awsFaultOf(error);
        if (statusOf(error) === undefined || fault === 'throttled' || fault === 'failing') throw error;
        // The answer to HEAD has no body and does not say why; the answer to a listing does.
        await this.#client.send(
          new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, MaxKeys: 1 }),
          requestOptions(signal),
        );
      }
    });
  }

  /** Ends the kept connections; later calls may open new ones. */
  close(): void {
    this.#client.destroy();
  }

  #target(key: string): S3Target {
    checkObjectKey(key);
    const Key = this.#prefix + key;
    const bytes = Buffer.byteLength(Key);
    if (bytes > keyBytesMax) {
      throw new VarveError(
        'invalid',
        `object key ${key}: got ${bytes} bytes with the store's prefix; want at most ${keyBytesMax}`,
      );
    }
    return { Bucket: this.#bucket, Key };
  }

  #uriPrefix(): string {
    return `s3://${this.#bucket}/${this.#prefix}`;
  }

  /** Deletes at most 1,000 objects; keys that S3 could not delete this time are tried again. */
  async #deleteBatch(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    let left = keys;
    for (let attempt = 1; ; attempt++) {
      const refused = await this.#guard(`delete ${left.length} objects`, signal, async () => {
        const answer = await this.#client.send(
          new DeleteObjectsCommand({
            Bucket: this.#bucket,
            Delete: { Quiet: true, Objects: left.map((key) => ({ Key: this.#prefix + key })) },
          }),
          requestOptions(signal),
        );
        return (answer.Errors ?? []).filter((error) => error.Code !== 'NoSuchKey');
      });
      if (refused.length === 0) return;
      const mayPass = refused.every((error) => passingCodes.has(error.Code ?? ''));
      if (!mayPass || attempt === deleteAttemptsMax) {
        const first = refused
          .slice(0, 3)
          .map((error) => `${error.Key}: ${error.Code} ${error.Message ?? ''}`);
        throw new VarveError(
          'unavailable',
          `delete from S3 bucket ${this.#bucket}: ${refused.length} of ${keys.length} objects were refused (${first.join('; ')})`,
          { retryAfterSeconds: 5 },
        );
      }
      left = refused.map((error) => (error.Key ?? '').slice(this.#prefix.length));
      const { clock, random } = this.#options;
      await clock.sleep(100 * 2 ** attempt * random.next(), signal);
    }
  }

  /** Gives failures their kind; an aborted call fails with its signal's reason. */
  async #guard<T>(doing: string, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      if (isVarveError(error)) throw error;
      signal?.throwIfAborted();
      throw awsFailure(doing, this.#resource, error);
    }
  }
}

/** Codes of single keys in the answer to DeleteObjects that a later try may not meet. */
const passingCodes = new Set(['InternalError', 'SlowDown', 'ServiceUnavailable', 'RequestTimeout']);

function objectInfo(key: string, bytes: number | undefined, modified: Date | undefined): ObjectInfo {
  // The head of an answer tells whole seconds only; some services list with fractions.
  const modifiedMs = Math.floor((modified?.getTime() ?? 0) / 1000) * 1000;
  return { key, bytes: bytes ?? 0, modifiedMs };
}

function decodePath(path: string): string | undefined {
  try {
    return path.split('/').map(decodeURIComponent).join('/');
  } catch {
    return undefined;
  }
}
