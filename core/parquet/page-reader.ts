import { crc32 } from 'node:zlib';
import { decompress } from '@cloudpss/zstd';
import { VarveError } from '../std/errors.js';
import { pageType } from './format.js';
import type { ChunkPlace } from './metadata-reader.js';
import { numberField, readThriftStruct, structField } from './thrift-reader.js';

/** A page, decompressed and checked against its CRC-32. */
export interface Page {
  readonly type: 'data' | 'dictionary';
  readonly encoding: number;
  /** Rows of a data page, entries of a dictionary page. */
  readonly valueCount: number;
  readonly bytes: Uint8Array;
}

/** The pages of a column chunk in order. `corrupt` when one is damaged, `invalid` when it is of a kind unknown here. */
export function* readPages(file: Uint8Array, chunk: ChunkPlace): Generator<Page> {
  const end = chunk.offset + chunk.compressedBytes;
  const bytes = file.subarray(0, end);
  for (let at = chunk.offset; at < end; ) {
    const { struct: header, end: bodyAt } = readThriftStruct(bytes, at);
    const compressedBytes = numberField(header, 3, 'a page');
    if (compressedBytes < 0 || bodyAt + compressedBytes > end) {
      throw corruptPage(at, `a page of ${compressedBytes} bytes`, `at most ${end - bodyAt}`);
    }
    const body = bytes.subarray(bodyAt, bodyAt + compressedBytes);
    const crc = numberField(header, 4, 'a page');
    if ((crc32(body) | 0) !== crc) throw corruptPage(at, `the CRC ${crc32(body) | 0}`, String(crc));
    const type = numberField(header, 1, 'a page');
    if (type !== pageType.data && type !== pageType.dictionary) {
      throw new VarveError(
        'invalid',
        `reading a Parquet page at byte ${at}: got page type ${type}; want 0 or 2`,
      );
    }
    const detail = structField(header, type === pageType.data ? 5 : 7, 'a page');
    const page = unpacked(body, at);
    const uncompressedBytes = numberField(header, 2, 'a page');
    if (page.length !== uncompressedBytes) {
      throw corruptPage(at, `${page.length} bytes uncompressed`, String(uncompressedBytes));
    }
    yield {
      type: type === pageType.data ? 'data' : 'dictionary',
      encoding: numberField(detail, 2, 'a page'),
      valueCount: numberField(detail, 1, 'a page'),
      bytes: page,
    };
    at = bodyAt + compressedBytes;
  }
}

function unpacked(body: Uint8Array, at: number): Uint8Array {
  try {
    return decompress(body);
  } catch (cause) {
    throw new VarveError('corrupt', `decompressing a Parquet page at byte ${at}: got no zstd frame`, {
      cause,
    });
  }
}

function corruptPage(at: number, got: string, want: string): VarveError {
  return new VarveError('corrupt', `reading a Parquet page at byte ${at}: got ${got}; want ${want}`);
}
