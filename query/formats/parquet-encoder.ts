import type { SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { VarveError } from '../../core/std/errors.js';
import { decimalText } from './cell-text.js';
import { ResultBuffer } from './result-buffer.js';
import { isValid, type ResultChunk, type ResultColumn, type ResultField } from './result-chunk.js';
import type { ResultEncoder } from './result-encoder.js';

const rowGroupRows = 65_536;

/**
 * A Parquet file. Its footer names every column chunk, so it is held whole until the last row: `too-large` past
 * `bytesMax`. Fixed-point numbers and 128-bit integers are written as decimal text, which loses nothing.
 */
export class ParquetEncoder implements ResultEncoder {
  readonly #fields: readonly ResultField[];
  readonly #bytesMax: number;
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;
  readonly #buffer = new ResultBuffer();

  constructor(fields: readonly ResultField[], bytesMax: number) {
    this.#fields = distinctNames(fields);
    this.#bytesMax = bytesMax;
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: [{ name: 'root', num_children: fields.length }, ...this.#fields.map(schemaElement)],
      createdBy: 'varve',
    });
  }

  encode(chunk: ResultChunk): readonly Uint8Array[] {
    this.#buffer.append(chunk);
    if (this.#buffer.rowCount >= rowGroupRows) this.#writeRowGroup();
    return [];
  }

  finish(): readonly Uint8Array[] {
    this.#writeRowGroup();
    this.#writer.finish();
    return [new Uint8Array(this.#bytes.getBuffer())];
  }

  #writeRowGroup(): void {
    const rows = this.#buffer.take();
    if (rows === undefined) return;
    const columnData = rows.columns.map((column, index) => ({
      name: this.#fields[index]?.name ?? '',
      data: parquetValues(column, rows.rowCount),
    }));
    this.#writer.write({ columnData, rowGroupSize: rows.rowCount });
    if (this.#bytes.offset > this.#bytesMax) {
      throw new VarveError(
        'too-large',
        `query: the Parquet answer passes ${this.#bytesMax} bytes; want fewer rows, or a format that streams (arrow, csv, jsonl)`,
      );
    }
  }
}

/** Parquet addresses columns by name, so a name that comes again gets a number. */
function distinctNames(fields: readonly ResultField[]): readonly ResultField[] {
  const taken = new Set<string>();
  return fields.map((field) => {
    let name = field.name;
    for (let count = 1; taken.has(name); count++) name = `${field.name}_${count}`;
    taken.add(name);
    return { ...field, name };
  });
}

function schemaElement({ name, kind }: ResultField): SchemaElement {
  const element = { name, repetition_type: 'OPTIONAL' } as const;
  switch (kind.kind) {
    case 'boolean':
      return { ...element, type: 'BOOLEAN' };
    case 'int32':
      return { ...element, type: 'INT32' };
    case 'int64':
      return { ...element, type: 'INT64' };
    case 'uint64':
      return {
        ...element,
        type: 'INT64',
        converted_type: 'UINT_64',
        logical_type: { type: 'INTEGER', bitWidth: 64, isSigned: false },
      };
    case 'float64':
      return { ...element, type: 'DOUBLE' };
    case 'date':
      return { ...element, type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } };
    case 'timestamp':
      return {
        ...element,
        type: 'INT64',
        logical_type: {
          type: 'TIMESTAMP',
          isAdjustedToUTC: true,
          unit: kind.unit === 'us' ? 'MICROS' : 'NANOS',
        },
      };
    default:
      return { ...element, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } };
  }
}

function parquetValues(column: ResultColumn, rowCount: number): unknown[] {
  const values = new Array<unknown>(rowCount);
  for (let row = 0; row < rowCount; row++) {
    if (!isValid(column.validity, row)) values[row] = null;
    else if (column.kind === 'boolean') values[row] = column.values[row] !== 0;
    else if (column.kind === 'decimal') values[row] = decimalText(column.values[row] ?? 0n, column.scale);
    else if (column.kind === 'text') values[row] = column.distinct[column.values[row] ?? 0];
    else values[row] = column.values[row];
  }
  return values;
}
