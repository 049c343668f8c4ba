import { VarveError } from '../std/errors.js';
import { pageType } from './format.js';
import { numberField, readThriftStruct, structField } from './thrift-reader.js';

/** Where the pages of a column chunk begin, relative to the chunk; rows relative to its row group. */
export interface PagePlaces {
  /** Bytes of the dictionary page, which comes first; 0 when there is none. */
  readonly dictionaryBytes: number;
  /** Of data page i; one more at the end, which is the length of the chunk. */
  readonly offsets: Int32Array;
  /** First row of data page i; one more at the end, which is the row group's count. */
  readonly rows: Int32Array;
}

/** Walks the page headers of a chunk, decompressing nothing. `corrupt` when they do not add up. */
export function findPages(chunk: Uint8Array, rowCount: number): PagePlaces {
  const offsets: number[] = [];
  const rows: number[] = [];
  let dictionaryBytes = 0;
  let row = 0;
  let at = 0;
  while (at < chunk.length) {
    const { struct: header, end } = readThriftStruct(chunk, at);
    const next = end + numberField(header, 3, 'a page');
    if (next < end || next > chunk.length) throw corruptPages(`a page up to byte ${next}`, `${chunk.length}`);
    if (numberField(header, 1, 'a page') === pageType.dictionary) {
      if (at > 0) throw corruptPages('a dictionary behind other pages', 'it first of all');
      dictionaryBytes = next;
    } else {
      offsets.push(at);
      rows.push(row);
      row += numberField(structField(header, 5, 'a page'), 1, 'a page');
    }
    at = next;
  }
  if (row !== rowCount) throw corruptPages(`${row} rows`, `${rowCount}`);
  return {
    dictionaryBytes,
    offsets: Int32Array.from([...offsets, chunk.length]),
    rows: Int32Array.from([...rows, row]),
  };
}

function corruptPages(got: string, want: string): VarveError {
  return new VarveError('corrupt', `reading the pages of a Parquet column: got ${got}; want ${want}`);
}
