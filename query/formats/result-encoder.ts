import type { ResultChunk } from './result-chunk.js';

/** Turns the chunks of one answer into bytes. Chunks come in order; `finish` is called once, after the last. */
export interface ResultEncoder {
  /** Bytes that are ready after this chunk; none yet is an empty list. */
  encode(chunk: ResultChunk): readonly Uint8Array[];
  finish(): readonly Uint8Array[];
}

/** What each format is called over HTTP. */
export const contentTypes = {
  json: 'application/json; charset=utf-8',
  jsonl: 'application/jsonl; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  pretty: 'text/plain; charset=utf-8',
  parquet: 'application/vnd.apache.parquet',
  arrow: 'application/vnd.apache.arrow.stream',
} as const;
