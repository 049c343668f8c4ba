import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import avro from 'avsc';
import { errorMessage, VarveError } from '../std/errors.js';
import { AvroCursor } from './avro-cursor.js';

/**
 * Avro object container files (Avro specification 1.11, "Object Container Files"):
 *
 *   'O' 'b' 'j' 1 | map<bytes> header, with avro.schema and avro.codec | 16-byte sync marker
 *   then blocks:  long count | long byte length | deflated records | the sync marker
 *
 * avsc encodes the records. The container is written here because avsc's own writer keeps Iceberg's attributes of a
 * schema (field-id) only for types without exact 64-bit integers; and records are read by cursor (see
 * manifest-decoder.ts) because avsc is slow at it and spins on a damaged array length. The format has no checksum,
 * so the header carries one of ours.
 */
const magic = Buffer.from('Obj\u0001', 'latin1');
const syncBytes = 16;
/** CRC-32, in hex, of the header without this entry, the sync marker and all blocks. */
const checksumKey = 'varve.crc32';
/** Records a block: bounds what a reader must inflate at once. */
const blockRecordsMax = 1000;
/** A header has a handful of entries; more mean damage. */
const headerEntriesMax = 1000;
/** Inflated bytes of a block; ours stay far below. */
const blockBytesMax = 256 * 2 ** 20;

/** A schema in its own JSON form, Iceberg's attributes included. */
export type AvroSchema = avro.Schema;

/** Iceberg field ids of snapshot ids, which need all 63 bits: bigints. All other longs are numbers. */
const exactFields: ReadonlySet<unknown> = new Set([1, 503]);

const exactLongType = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (left: bigint, right: bigint) => (left === right ? 0 : left < right ? -1 : 1),
});

/** A schema made ready for use. */
export interface AvroFormat {
  /** The schema as it stands in the file, Iceberg's attributes included. */
  readonly schemaText: string;
  readonly type: avro.Type;
}

/** Makes a schema ready for use. Costly: callers keep the result. */
export function avroFormat(schema: AvroSchema): AvroFormat {
  const type = avro.Type.forSchema(withExactLongs(schema) as AvroSchema, {
    registry: { exactLong: exactLongType },
  });
  return { schemaText: JSON.stringify(schema), type };
}

/** The schema with another type, of the same bytes, in place of the longs that need all bits. */
function withExactLongs(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withExactLongs);
  if (typeof node !== 'object' || node === null) return node;
  const members = Object.entries(node).map(([name, value]) => [name, withExactLongs(value)] as const);
  const copy: Record<string, unknown> = Object.fromEntries(members);
  if (exactFields.has(copy['field-id'])) {
    copy['type'] = JSON.parse(JSON.stringify(copy['type']).replace('"long"', '"exactLong"'));
  }
  return copy;
}

const headerType = avro.Type.forSchema({ type: 'map', values: 'bytes' });
const countType = avro.Type.forSchema('long');

/** Writes records as a container file. `syncMarker` has 16 bytes. */
export function encodeAvroContainer(options: {
  readonly format: AvroFormat;
  readonly metadata: Readonly<Record<string, string>>;
  readonly syncMarker: Uint8Array;
  readonly records: readonly unknown[];
}): Uint8Array {
  const { format, records } = options;
  const sync = Buffer.from(options.syncMarker);
  const blocks: Buffer[] = [];
  for (let at = 0; at < records.length; at += blockRecordsMax) {
    const block = records.slice(at, at + blockRecordsMax);
    const bytes = deflateRawSync(Buffer.concat(block.map((record) => format.type.toBuffer(record))));
    blocks.push(countType.toBuffer(block.length), countType.toBuffer(bytes.length), bytes, sync);
  }
  const body = Buffer.concat([sync, ...blocks]);
  const header = new Map([
    ...Object.entries(options.metadata),
    ['avro.codec', 'deflate'],
    ['avro.schema', format.schemaText],
  ] as const);
  const checksum = checksumOf(header, body);
  return Buffer.concat([magic, encodeHeader(new Map([...header, [checksumKey, checksum]])), body]);
}

function encodeHeader(texts: ReadonlyMap<string, string>): Buffer {
  return headerType.toBuffer(Object.fromEntries([...texts].map(([key, text]) => [key, Buffer.from(text)])));
}

/** `body`: sync marker and blocks. */
function checksumOf(header: ReadonlyMap<string, string>, body: Uint8Array): string {
  return crc32(body, crc32(encodeHeader(header)))
    .toString(16)
    .padStart(8, '0');
}

/**
 * Reads a container file of this very format: another schema was written by another version or
 * program and is refused. `decode` reads one record at the cursor; what it throws means damage. Errors: `corrupt`;
 * `what` names the file in the message.
 */
export function decodeAvroContainer<Item>(
  what: string,
  bytes: Uint8Array,
  format: AvroFormat,
  decode: (cursor: AvroCursor) => Item,
): Item[] {
  try {
    return decodeBlocks(bytes, format.schemaText, decode);
  } catch (error) {
    throw new VarveError(
      'corrupt',
      `reading Avro file ${what} (${bytes.length} bytes): ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

function decodeBlocks<Item>(
  bytes: Uint8Array,
  schemaText: string,
  decode: (cursor: AvroCursor) => Item,
): Item[] {
  const { texts, end } = readHeader(bytes);
  const body = bytes.subarray(end);
  checkHeader(texts, body, schemaText);
  const sync = body.subarray(0, syncBytes);
  if (sync.length < syncBytes) throw new RangeError('got a header that is cut off');
  const items: Item[] = [];
  for (let at = syncBytes; at < body.length; ) {
    const frame = new AvroCursor(body, at);
    const count = frame.long();
    const block = inflateRawSync(frame.slice(), { maxOutputLength: blockBytesMax });
    at = frame.at + syncBytes;
    if (Buffer.compare(body.subarray(frame.at, at), sync) !== 0) {
      throw new RangeError(`got a wrong sync marker at byte ${end + frame.at}`);
    }
    const cursor = new AvroCursor(block);
    for (let index = 0; index < count; index++) items.push(decode(cursor));
    if (cursor.at !== block.length) {
      throw new RangeError(`got ${block.length - cursor.at} bytes after the last record of a block`);
    }
  }
  return items;
}

function readHeader(bytes: Uint8Array): { texts: Map<string, string>; end: number } {
  if (Buffer.compare(bytes.subarray(0, magic.length), magic) !== 0) {
    throw new RangeError('got other bytes at its begin; want "Obj" and 1');
  }
  const cursor = new AvroCursor(bytes, magic.length);
  const texts = new Map<string, string>();
  cursor.items(() => {
    if (texts.size === headerEntriesMax)
      throw new RangeError(`got more than ${headerEntriesMax} header entries`);
    const key = cursor.text();
    texts.set(key, cursor.text());
  });
  return { texts, end: cursor.at };
}

function checkHeader(texts: Map<string, string>, body: Uint8Array, schemaText: string): void {
  const codec = texts.get('avro.codec');
  if (codec !== 'deflate') throw new RangeError(`got codec "${codec}"; want deflate`);
  if (texts.get('avro.schema') !== schemaText) {
    throw new RangeError(`got schema ${texts.get('avro.schema')}; want ${schemaText}`);
  }
  const checksum = texts.get(checksumKey);
  texts.delete(checksumKey);
  const computed = checksumOf(texts, body);
  if (checksum !== computed) throw new RangeError(`got CRC-32 ${checksum}; want ${computed}`);
}
