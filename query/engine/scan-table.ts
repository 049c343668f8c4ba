import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBTableFunction,
  type DuckDBType,
  INTEGER,
  TIMESTAMP,
  TIMESTAMP_NS,
  UBIGINT,
  VARCHAR,
} from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { type NarrowIntegers, signExtend } from '../../core/codec/narrow-integers.js';
import { errorMessage } from '../../core/std/errors.js';
import type { BatchColumn, EngineScan, ScanBatch, ScanColumnType } from './scan.js';
import type { TagDictionary } from './tag-dictionary.js';

/**
 * The table functions `varve_hot('<scan id>')` and `varve_settled('<scan id>')`: rows that we read, inside the engine,
 * by two names so that EXPLAIN tells them apart. A hot path: values go by memory
 * copies of up to a vector's length; a tag that is the same over a whole chunk becomes a constant vector, which the
 * engine groups and filters without looking at rows.
 */
export const scanTableNames = ['varve_hot', 'varve_settled'] as const;

const vectorRows = 2048;
/** A run of one series shorter than this is not worth a chunk of its own. */
const constantRunRowsMin = 512;

type Vector = ReturnType<typeof duckdb.data_chunk_get_vector>;
type Chunk = Parameters<typeof duckdb.data_chunk_get_vector>[0];

interface ScanPosition {
  readonly batches: Iterator<ScanBatch, void>;
  /** Null before the first batch and after the last. */
  batch: ScanBatch | null;
  row: number;
}

const engineTypes: Readonly<Record<ScanColumnType, DuckDBType>> = {
  'time-ns': TIMESTAMP_NS,
  'time-us': TIMESTAMP,
  nanos: INTEGER,
  tag: VARCHAR,
  string: VARCHAR,
  double: DOUBLE,
  bigint: BIGINT,
  ubigint: UBIGINT,
  boolean: BOOLEAN,
};

/** Makes one of the table functions over the scans that are lent now, to each connection its own. */
export function scanTableFunction(
  name: (typeof scanTableNames)[number],
  scanOf: (connection: number, id: string) => EngineScan | undefined,
): DuckDBTableFunction {
  const filler = new VectorFiller();
  return DuckDBTableFunction.create({
    name,
    parameterTypes: [VARCHAR],
    supportsProjectionPushdown: true,
    bindFunction: (info) => {
      const id = String(info.getParameter(0));
      const scan = scanOf(info.clientContext.connectionId, id);
      if (scan === undefined) {
        info.setError(`no scan ${id}`);
        return;
      }
      for (const { name, type } of scan.columns) info.addResultColumn(name, engineTypes[type]);
      info.setCardinality(scan.rowCount, true);
      info.setBindData(scan);
    },
    initFunction: (info) => {
      const scan = info.getBindData() as EngineScan;
      const batches = scan.open(info.getColumnIndexes());
      info.setInitData({ batches, batch: null, row: 0 } satisfies ScanPosition);
      // Callbacks run on one thread anyway.
      info.setMaxThreads(1);
    },
    mainFunction: (info, output) => {
      try {
        fillNext(info.getInitData() as ScanPosition, output.chunk, filler);
      } catch (error) {
        // What is thrown here would reach nobody.
        info.setError(errorMessage(error));
      }
    },
  });
}

function fillNext(position: ScanPosition, chunk: Chunk, filler: VectorFiller): void {
  const batch = position.batch ?? nextBatch(position);
  if (batch === null) {
    duckdb.data_chunk_set_size(chunk, 0);
    return;
  }
  const { columns } = batch;
  const start = position.row;
  const run = constantRun(columns, start, Math.min(vectorRows, batch.rowCount - start));
  const isConstant = run >= constantRunRowsMin || run === batch.rowCount - start;
  const count = isConstant ? run : Math.min(vectorRows, batch.rowCount - start);
  duckdb.data_chunk_set_size(chunk, count);
  for (let index = 0; index < columns.length; index++) {
    const column = columns[index];
    // The engine's row id, which nothing reads.
    if (column === undefined) continue;
    filler.fill(duckdb.data_chunk_get_vector(chunk, index), column, start, count, isConstant);
  }
  position.row += count;
  if (position.row >= batch.rowCount) position.batch = null;
}

function nextBatch(position: ScanPosition): ScanBatch | null {
  const next = position.batches.next();
  position.batch = next.done === true ? null : next.value;
  position.row = 0;
  return position.batch;
}

/** Rows from `start`, at most `rowsMax`, over which no tag changes. */
function constantRun(columns: readonly (BatchColumn | undefined)[], start: number, rowsMax: number): number {
  let run = rowsMax;
  for (let index = 0; index < columns.length; index++) {
    const column = columns[index];
    if (column?.kind !== 'tag') continue;
    const { codes } = column;
    const first = codes[start];
    let rows = 1;
    while (rows < run && codes[start + rows] === first) rows++;
    run = rows;
  }
  return run;
}

/** Fills vectors; keeps its scratch memory. */
class VectorFiller {
  readonly #strings = new Int32Array(vectorRows * 4);
  readonly #lanes = new Int32Array(vectorRows * 2);
  readonly #doubles = new Float64Array(this.#lanes.buffer);
  readonly #validity = new Uint8Array(vectorRows / 8);
  readonly #null = duckdb.create_null_value();

  fill(vector: Vector, column: BatchColumn, start: number, count: number, isConstant: boolean): void {
    switch (column.kind) {
      case 'absent':
        duckdb.vector_reference_value(vector, this.#null);
        return;
      case 'fixed': {
        const { bytes, width } = column;
        const offset = bytes.byteOffset + start * width;
        duckdb.copy_data_to_vector(vector, 0, bytes.buffer as ArrayBuffer, offset, count * width);
        this.#copyValidity(vector, column.validity, column.validityOffset + start, count);
        return;
      }
      case 'narrow': {
        const { type, values } = column;
        if (type === 'double') this.#doubles.set(values.subarray(start, start + count));
        else signExtend(values, start, start + count, this.#lanes, 0);
        duckdb.copy_data_to_vector(vector, 0, this.#lanes.buffer, 0, count * 8);
        this.#copyValidity(vector, column.validity, column.validityOffset + start, count);
        return;
      }
      case 'string': {
        for (let row = 0; row < count; row++) {
          const from = column.offsets[start + row] ?? 0;
          const to = column.offsets[start + row + 1] ?? 0;
          duckdb.vector_assign_string_element_len(vector, row, column.bytes.subarray(from, to));
        }
        this.#copyValidity(vector, column.validity, column.validityOffset + start, count);
        return;
      }
      case 'tag': {
        const { codes, dictionary } = column;
        if (isConstant) duckdb.vector_reference_value(vector, dictionary.constant(codes[start] ?? 0));
        else this.#fillTags(vector, codes, dictionary, start, count);
        return;
      }
    }
  }

  #copyValidity(vector: Vector, validity: Uint8Array | null, firstBit: number, count: number): void {
    if (validity === null) return;
    const scratch = this.#validity;
    scratch.fill(0);
    for (let row = 0; row < count; row++) {
      const bit = firstBit + row;
      if (((validity[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0) scratch[row >> 3]! |= 1 << (row & 7);
    }
    this.#writeValidity(vector, count);
  }

  #writeValidity(vector: Vector, count: number): void {
    duckdb.vector_ensure_validity_writable(vector);
    const buffer = this.#validity.buffer;
    duckdb.copy_data_to_vector_validity(vector, 0, buffer, 0, Math.ceil(count / 64) * 8);
  }

  /**
   * Short strings are written as the engine holds them. A long one is handed to the engine once, which then owns its
   * bytes; its 16-byte reference is read back and repeated over the run.
   */
  #fillTags(
    vector: Vector,
    codes: NarrowIntegers,
    dictionary: TagDictionary,
    start: number,
    count: number,
  ): void {
    const { nullCode } = dictionary;
    const references = this.#assignLongTags(vector, codes, dictionary, start, count);
    const words = this.#strings;
    const scratch = this.#validity.fill(0);
    let nulls = 0;
    for (let row = 0; row < count; row++) {
      const code = codes[start + row] ?? 0;
      if (code === nullCode) {
        nulls++;
        words.fill(0, row * 4, row * 4 + 4);
        continue;
      }
      scratch[row >> 3]! |= 1 << (row & 7);
      const source = references?.get(code) ?? dictionary.inlineWords;
      const at = source === dictionary.inlineWords ? code * 4 : 0;
      words[row * 4] = source[at] ?? 0;
      words[row * 4 + 1] = source[at + 1] ?? 0;
      words[row * 4 + 2] = source[at + 2] ?? 0;
      words[row * 4 + 3] = source[at + 3] ?? 0;
    }
    duckdb.copy_data_to_vector(vector, 0, words.buffer, 0, count * 16);
    if (nulls > 0) this.#writeValidity(vector, count);
  }

  #assignLongTags(
    vector: Vector,
    codes: NarrowIntegers,
    dictionary: TagDictionary,
    start: number,
    count: number,
  ): Map<number, Int32Array> | undefined {
    let rows: Map<number, number> | undefined;
    let last = -1;
    for (let row = 0; row < count; row++) {
      const code = codes[start + row] ?? 0;
      if (code === last) continue;
      last = code;
      const bytes = dictionary.longBytes(code);
      if (bytes === null) continue;
      rows ??= new Map();
      if (rows.has(code)) continue;
      duckdb.vector_assign_string_element_len(vector, row, bytes);
      rows.set(code, row);
    }
    if (rows === undefined) return undefined;
    const data = duckdb.vector_get_data(vector, count * 16);
    const references = new Map<number, Int32Array>();
    for (const [code, row] of rows) {
      // Copied byte by byte: what is given is a Buffer, whose own slice would be a view of the vector.
      references.set(code, new Int32Array(Uint8Array.from(data.subarray(row * 16, row * 16 + 16)).buffer));
    }
    return references;
  }
}
