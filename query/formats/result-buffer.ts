import { isValid, type ResultChunk, type ResultColumn } from './result-chunk.js';

type TypedValues = Exclude<ResultColumn['values'], readonly string[] | readonly bigint[]>;

/** Gathers chunks into one that owns its memory, for formats that write larger batches than the engine gives. */
export class ResultBuffer {
  #chunks: ResultChunk[] = [];
  #rowCount = 0;

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Copies the chunk: the engine's memory is free again afterwards. */
  append(chunk: ResultChunk): void {
    if (chunk.rowCount === 0) return;
    const columns = chunk.columns.map((column) => copyColumn(column, chunk.rowCount));
    this.#chunks.push({ rowCount: chunk.rowCount, columns });
    this.#rowCount += chunk.rowCount;
  }

  /** All rows appended since the last call as one chunk; undefined when there are none. */
  take(): ResultChunk | undefined {
    const first = this.#chunks[0];
    if (first === undefined) return undefined;
    const chunks = this.#chunks;
    const rowCount = this.#rowCount;
    this.#chunks = [];
    this.#rowCount = 0;
    if (chunks.length === 1) return first;
    const columns = first.columns.map((_, index) => joinColumns(chunks, index, rowCount));
    return { rowCount, columns };
  }
}

function copyColumn(column: ResultColumn, rowCount: number): ResultColumn {
  const validity = column.validity === null ? null : column.validity.slice(0, (rowCount + 7) >> 3);
  return { ...column, validity, values: column.values.slice(0, rowCount) } as ResultColumn;
}

function joinColumns(chunks: readonly ResultChunk[], index: number, rowCount: number): ResultColumn {
  const parts = chunks.map((chunk) => chunk.columns[index] as ResultColumn);
  const first = parts[0] as ResultColumn;
  const validity = joinValidity(chunks, parts, rowCount);
  if (first.kind === 'text') return joinTexts(parts as readonly TextColumn[], validity, rowCount);
  const values = Array.isArray(first.values)
    ? parts.flatMap((part) => part.values as string[])
    : joinTyped(
        parts.map((part) => part.values as TypedValues),
        rowCount,
      );
  return { ...first, validity, values } as ResultColumn;
}

type TextColumn = Extract<ResultColumn, { readonly kind: 'text' }>;

function joinTexts(parts: readonly TextColumn[], validity: Uint8Array | null, rowCount: number): TextColumn {
  const values = new Int32Array(rowCount);
  const distinct: string[] = [];
  let at = 0;
  for (const part of parts) {
    const before = distinct.length;
    for (let row = 0; row < part.values.length; row++) values[at++] = before + part.values[row]!;
    for (const text of part.distinct) distinct.push(text);
  }
  return { kind: 'text', validity, values, distinct };
}

function joinTyped(parts: readonly TypedValues[], rowCount: number): TypedValues {
  const bytesEach = (parts[0] as TypedValues).BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(rowCount * bytesEach);
  let at = 0;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  const Constructor = (parts[0] as TypedValues).constructor as new (buffer: ArrayBuffer) => TypedValues;
  return new Constructor(bytes.buffer);
}

function joinValidity(
  chunks: readonly ResultChunk[],
  parts: readonly ResultColumn[],
  rowCount: number,
): Uint8Array | null {
  if (parts.every((part) => part.validity === null)) return null;
  const bitmap = new Uint8Array((rowCount + 7) >> 3);
  let at = 0;
  parts.forEach((part, index) => {
    const count = chunks[index]?.rowCount ?? 0;
    for (let row = 0; row < count; row++) {
      if (isValid(part.validity, row)) bitmap[(at + row) >> 3]! |= 1 << ((at + row) & 7);
    }
    at += count;
  });
  return bitmap;
}
