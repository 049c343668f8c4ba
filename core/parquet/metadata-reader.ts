import { VarveError } from '../std/errors.js';
import {
  codecZstd,
  decimalBytes,
  magic,
  physicalType,
  physicalTypeOf,
  repetition,
  rowGroupRowsMax,
  storedKind,
  tagsKey,
} from './format.js';
import {
  bytesField,
  numberField,
  readThriftStruct,
  structField,
  structsField,
  type ThriftStruct,
} from './thrift-reader.js';
import type { ParquetColumnSpec } from './types.js';

/** Where one column of one row group lies in the file. */
export interface ChunkPlace {
  readonly offset: number;
  readonly compressedBytes: number;
}

/** What the footer says: the columns and where each row group has them. */
export interface FileLayout {
  readonly specs: readonly ParquetColumnSpec[];
  readonly rowGroups: readonly { readonly rowCount: number; readonly chunks: readonly ChunkPlace[] }[];
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads the footer of a file that Varve wrote. `corrupt` when it is damaged, `invalid` when it is whole but of
 * another writer: with columns or a compression that Varve does not use.
 */
export function readFileLayout(bytes: Uint8Array): FileLayout {
  if (!hasMagic(bytes, 0)) throw notWhole(bytes.length);
  return readFooterLayout(bytes, bytes.length);
}

/** Bytes at the end of a file that tell how long its footer is. */
export const footerTailBytes = 8;

/** Bytes that the footer takes together with its tail; `tail` is the end of the file. */
export function footerBytes(tail: Uint8Array, fileBytes: number): number {
  const end = tail.length - footerTailBytes;
  if (end < 0 || !hasMagic(tail, tail.length - magic.length)) throw notWhole(fileBytes);
  const length = new DataView(tail.buffer, tail.byteOffset + end, 4).getUint32(0, true);
  const most = fileBytes - footerTailBytes - magic.length;
  if (length > most) throw corruptFooter(`a footer of ${length} bytes`, `at most ${most}`);
  return length + footerTailBytes;
}

/** The same from the end of a file alone; it holds the footer whole. */
export function readFooterLayout(end: Uint8Array, fileBytes: number): FileLayout {
  const metadata = readFooter(end, fileBytes);
  const tags = readTags(metadata);
  const [root, ...elements] = structsField(metadata, 2, 'the file');
  if (root === undefined || elements.length === 0) throw foreign('a file without columns');
  const specs = elements.map((element) => readSpec(element, tags));
  const rowGroups = structsField(metadata, 4, 'the file').map((group) => {
    const chunks = structsField(group, 1, 'a row group').map((chunk) => readChunkPlace(chunk, fileBytes));
    if (chunks.length !== specs.length) {
      throw corruptFooter(`a row group of ${chunks.length} columns`, `${specs.length}`);
    }
    return { rowCount: rowCountOf(group), chunks };
  });
  return { specs, rowGroups };
}

function rowCountOf(group: ThriftStruct): number {
  const rowCount = numberField(group, 3, 'a row group');
  // A damaged claim must not allocate memory without end.
  if (rowCount > 0 && rowCount <= rowGroupRowsMax) return rowCount;
  throw corruptFooter(`a row group of ${rowCount} rows`, `1 to ${rowGroupRowsMax}`);
}

function readFooter(end: Uint8Array, fileBytes: number): ThriftStruct {
  const start = end.length - footerBytes(end, fileBytes);
  if (start < 0) throw corruptFooter(`${end.length} bytes of its end`, 'the whole footer');
  return readThriftStruct(end.subarray(0, end.length - footerTailBytes), start).struct;
}

function hasMagic(bytes: Uint8Array, offset: number): boolean {
  return magic.every((byte, index) => bytes[offset + index] === byte);
}

function readTags(metadata: ThriftStruct): ReadonlySet<unknown> {
  for (const entry of metadata.has(5) ? structsField(metadata, 5, 'the file') : []) {
    if (textOf(bytesField(entry, 1, 'a metadata entry')) !== tagsKey) continue;
    const names: unknown = parseJson(textOf(bytesField(entry, 2, 'a metadata entry')));
    if (Array.isArray(names)) return new Set(names);
  }
  throw foreign(`a file without ${tagsKey} in its metadata`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VarveError('corrupt', `reading ${tagsKey} of a Parquet file: got no JSON`, { cause });
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new VarveError('corrupt', 'reading Parquet metadata: got a text that is no UTF-8', { cause });
  }
}

function readSpec(element: ThriftStruct, tags: ReadonlySet<unknown>): ParquetColumnSpec {
  const name = textOf(bytesField(element, 4, 'a column'));
  const spec = specOf(element, name, numberField(element, 9, `column ${name}`), tags.has(name));
  const optional = numberField(element, 3, `column ${name}`) === repetition.optional;
  const wantsOptional = spec.kind === 'tag' || spec.kind === 'field';
  if (physicalTypeOf(storedKind(spec)) !== element.get(1) || optional !== wantsOptional) {
    throw foreign(`column ${name} in another form`);
  }
  return spec;
}

function specOf(element: ThriftStruct, name: string, fieldId: number, isTag: boolean): ParquetColumnSpec {
  const type = element.get(1);
  if (isTag) return { kind: 'tag', name, fieldId };
  if (type === physicalType.int32) return { kind: 'time-ns', name, fieldId };
  if (type === physicalType.int64) {
    // Of all columns only time has a logical type on INT64.
    return element.has(10)
      ? { kind: 'time', name, fieldId }
      : { kind: 'field', name, fieldId, type: 'bigint' };
  }
  if (type === physicalType.double) return { kind: 'field', name, fieldId, type: 'double' };
  if (type === physicalType.boolean) return { kind: 'field', name, fieldId, type: 'boolean' };
  if (type === physicalType.byteArray) return { kind: 'field', name, fieldId, type: 'string' };
  if (type === physicalType.fixed && element.get(2) === decimalBytes) {
    return { kind: 'field', name, fieldId, type: 'ubigint' };
  }
  throw foreign(`column ${name} of physical type ${String(type)}`);
}

function readChunkPlace(chunk: ThriftStruct, fileBytes: number): ChunkPlace {
  const metadata = structField(chunk, 3, 'a column chunk');
  const codec = numberField(metadata, 4, 'a column chunk');
  if (codec !== codecZstd) throw foreign(`compression codec ${codec}`);
  const dictionary = metadata.get(11);
  const offset = typeof dictionary === 'number' ? dictionary : numberField(metadata, 9, 'a column chunk');
  const compressedBytes = numberField(metadata, 7, 'a column chunk');
  if (offset < magic.length || compressedBytes < 0 || offset + compressedBytes > fileBytes) {
    throw corruptFooter(
      `a column chunk at byte ${offset} of ${compressedBytes} bytes`,
      `${fileBytes} in all`,
    );
  }
  return { offset, compressedBytes };
}

function notWhole(fileBytes: number): VarveError {
  return corruptFooter(`${fileBytes} bytes without PAR1 at both ends`, 'a whole Parquet file');
}

function corruptFooter(got: string, want: string): VarveError {
  return new VarveError('corrupt', `reading the footer of a Parquet file: got ${got}; want ${want}`);
}

function foreign(got: string): VarveError {
  return new VarveError('invalid', `reading a Parquet file: got ${got}; want one that Varve wrote`);
}
