import { crc32 } from 'node:zlib';
import { hintsVersion, saltBytes } from './hint-format.js';

/**
 * The file beside a segment that lists which of its hints need not be sent any more; docs/formats/hints.md draws it. It
 * may lag behind: what it does not have is sent once more, and a batch that comes twice is one.
 */

const magic = 0x4e_44_48_56; // "VHDN"
const headerBytes = 16;
const entryBytes = 8;

/** The front of a list; it names the segment by its salt. */
export function encodeDoneHeader(salt: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, hintsVersion, true);
  bytes.set(salt, 8);
  return bytes;
}

/** Entries for hints that begin at these offsets of the segment. */
export function encodeDoneEntries(offsets: readonly number[], salt: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(offsets.length * entryBytes);
  const view = new DataView(bytes.buffer);
  offsets.forEach((offset, index) => {
    const at = index * entryBytes;
    view.setUint32(at, offset, true);
    view.setUint32(at + 4, crc32(bytes.subarray(at, at + 4), crc32(salt)), true);
  });
  return bytes;
}

/** The offsets of a list; what is torn is left out. Undefined when it is no list of the segment with this salt. */
export function decodeDoneList(bytes: Uint8Array, salt: Uint8Array): Set<number> | undefined {
  const offsets = new Set<number>();
  const header = encodeDoneHeader(salt);
  if (Buffer.compare(bytes.subarray(0, headerBytes), header) !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seed = crc32(salt.subarray(0, saltBytes));
  for (let at = headerBytes; at + entryBytes <= bytes.length; at += entryBytes) {
    if (view.getUint32(at + 4, true) === crc32(bytes.subarray(at, at + 4), seed)) {
      offsets.add(view.getUint32(at, true));
    }
  }
  return offsets;
}
