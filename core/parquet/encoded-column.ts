import type { ByteSink } from './byte-sink.js';
import type { Encoding } from './format.js';
import type { ValueStatistics } from './statistics.js';

/** The values of one column chunk that are present, with the encoding chosen for them. */
export interface EncodedColumn {
  readonly encoding: Encoding;
  readonly present: number;
  /** One byte a row, or null when every row is present. */
  readonly validity: Uint8Array | null;
  /** PLAIN bytes of the dictionary page, exactly when `encoding` is rleDictionary. */
  readonly dictionary: { readonly bytes: Uint8Array; readonly count: number } | null;
  readonly statistics: ValueStatistics;
  /** About what a value takes before compression, from which pages are sized. */
  readonly valueBytes: number;
  /** Appends the present values [from, to). */
  write(from: number, to: number, into: ByteSink): void;
}

/** What a way to encode values says of them; which rows they are at is not its concern. */
export type EncodedValues = Omit<EncodedColumn, 'present' | 'validity'>;
