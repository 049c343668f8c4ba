import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { requestOptions } from './aws-client.js';

/** An object's place in the words of the SDK. */
export interface S3Target {
  readonly Bucket: string;
  readonly Key: string;
}

const partsMax = 10_000;
const partsAtOnce = 4;

/** Puts objects; those larger than a part go up in parts, several at once. */
export class ObjectUploader {
  readonly #client: S3Client;
  readonly #partBytes: number;

  constructor(options: { readonly client: S3Client; readonly partBytes: number }) {
    this.#client = options.client;
    this.#partBytes = options.partBytes;
  }

  /** Fails with errors of the SDK. The object is there whole or not at all. */
  async upload(target: S3Target, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (bytes.length > this.#partBytes) return this.#uploadParts(target, bytes, signal);
    await this.#client.send(
      new PutObjectCommand({ ...target, Body: bytes, ContentLength: bytes.length }),
      requestOptions(signal),
    );
  }

  async #uploadParts(target: S3Target, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const created = await this.#client.send(new CreateMultipartUploadCommand(target), requestOptions(signal));
    const upload = { ...target, UploadId: created.UploadId };
    try {
      const parts = await this.#sendParts(upload, bytes, signal);
      await this.#complete(upload, parts, bytes.length, signal);
    } catch (error) {
      // Without the caller's signal, which may be why we are here: parts that stay cost money.
      await this.#client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  }

  /** The parts, in order. When one fails the others are given up. */
  async #sendParts(
    upload: S3Target & { readonly UploadId: string | undefined },
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<CompletedPart[]> {
    const partBytes = Math.max(this.#partBytes, Math.ceil(bytes.length / partsMax));
    const count = Math.ceil(bytes.length / partBytes);
    const parts: CompletedPart[] = new Array(count);
    const giveUp = new AbortController();
    const both = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < count) {
        const index = next++;
        const Body = bytes.subarray(index * partBytes, (index + 1) * partBytes);
        const PartNumber = index + 1;
        const sent = await this.#client.send(
          new UploadPartCommand({ ...upload, PartNumber, Body, ContentLength: Body.length }),
          requestOptions(both),
        );
        parts[index] = {
          PartNumber,
          ETag: sent.ETag,
          ...(sent.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: sent.ChecksumCRC32 }),
        };
      }
    };
    const lanes = Array.from({ length: Math.min(partsAtOnce, count) }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      giveUp.abort();
      await Promise.allSettled(lanes);
      throw error;
    }
    return parts;
  }

  async #complete(
    upload: S3Target & { readonly UploadId: string | undefined },
    parts: CompletedPart[],
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      await this.#client.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
        requestOptions(signal),
      );
    } catch (error) {
      // A first try that did complete makes the next one meet an upload that is gone. Keys are never written with
      // other bytes, so an object of the right length is ours.
      if (!(error instanceof Error) || error.name !== 'NoSuchUpload') throw error;
      const { Bucket, Key } = upload;
      const found = await this.#client
        .send(new HeadObjectCommand({ Bucket, Key }), requestOptions(signal))
        .catch(() => undefined);
      if (found?.ContentLength !== bytes) throw error;
    }
  }
}
