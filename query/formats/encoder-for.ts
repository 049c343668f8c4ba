import type { ResultFormat } from '../engine/query-engine.js';
import { ArrowEncoder } from './arrow-encoder.js';
import { ParquetEncoder } from './parquet-encoder.js';
import type { ResultField } from './result-chunk.js';
import type { ResultEncoder } from './result-encoder.js';
import { CsvEncoder, JsonEncoder, PrettyEncoder } from './text-encoders.js';

/** The encoder of a format for an answer with these columns. */
export function encoderFor(
  format: ResultFormat,
  fields: readonly ResultField[],
  heldBytesMax: number,
): ResultEncoder {
  switch (format) {
    case 'json':
      return new JsonEncoder(fields, 'array');
    case 'jsonl':
      return new JsonEncoder(fields, 'lines');
    case 'csv':
      return new CsvEncoder(fields);
    case 'pretty':
      return new PrettyEncoder(fields);
    case 'arrow':
      return new ArrowEncoder(fields);
    case 'parquet':
      return new ParquetEncoder(fields, heldBytesMax);
  }
}
