/**
 * The canonical key of a series within its table: its tags in ascending byte order of their names, each as
 * `varint(name length) name varint(value length) value`. Two lines name the same series exactly when their keys
 * are equal bytes. A series without tags has the empty key. Empty tag values do not occur.
 */
export interface Tag {
  readonly name: string;
  readonly value: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Compares byte strings as unsigned bytes: negative, zero or positive. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Where keys are put together; grows to the longest one. */
let scratch = new Uint8Array(1024);

/**
 * Builds the canonical key. Names must be distinct and values not empty; the caller has checked that. Runs once for
 * each new series, of which there may be millions.
 */
export function encodeSeriesKey(tags: readonly Tag[]): Uint8Array {
  const sorted = tags.length < 2 ? tags : tags.toSorted((left, right) => compareNames(left.name, right.name));
  let charactersMax = 0;
  for (const { name, value } of tags) charactersMax += name.length + value.length;
  // At most three bytes of UTF-8 a UTF-16 unit, and five of a length.
  const bytesMax = charactersMax * 3 + tags.length * 10;
  if (bytesMax > scratch.length) scratch = new Uint8Array(bytesMax);
  let at = 0;
  for (const { name, value } of sorted) {
    at = writeText(name, at);
    at = writeText(value, at);
  }
  return scratch.slice(0, at);
}

/** The order of UTF-8 bytes; that of UTF-16 units is the same as long as there is no surrogate. */
function compareNames(left: string, right: string): number {
  if (anySurrogate.test(left) || anySurrogate.test(right)) {
    return compareBytes(encoder.encode(left), encoder.encode(right));
  }
  return left < right ? -1 : left > right ? 1 : 0;
}

const anySurrogate = /[\ud800-\udfff]/;

/** Writes length and bytes to the scratch at `at`; answers where they end. */
function writeText(text: string, at: number): number {
  if (text.length < 0x80) {
    // Of ASCII the length is known, and takes one byte.
    let character = 0;
    for (; character < text.length; character++) {
      const unit = text.charCodeAt(character);
      if (unit >= 0x80) break;
      scratch[at + 1 + character] = unit;
    }
    if (character === text.length) {
      scratch[at] = text.length;
      return at + 1 + text.length;
    }
  }
  return writeBytes(scratch, at, encoder.encode(text));
}

/** The tags of a canonical key, in the order of the key. */
export function decodeSeriesKey(key: Uint8Array): Tag[] {
  const tags: Tag[] = [];
  let at = 0;
  const next = (): string => {
    let length = 0;
    let shift = 0;
    for (;;) {
      const byte = key[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    const text = decoder.decode(key.subarray(at, at + length));
    at += length;
    return text;
  };
  while (at < key.length) tags.push({ name: next(), value: next() });
  return tags;
}

/**
 * Whether two keys, as slices of packed keys, have the same tag names; values may differ. Hot loop: decodes nothing.
 */
export function sameTagNames(
  bytes: Uint8Array,
  left: number,
  leftEnd: number,
  right: number,
  rightEnd: number,
): boolean {
  while (left < leftEnd && right < rightEnd) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[left++] as number;
      if (byte !== bytes[right++]) return false;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    for (let i = 0; i < length; i++) if (bytes[left + i] !== bytes[right + i]) return false;
    left = skipString(bytes, left + length);
    right = skipString(bytes, right + length);
  }
  return left === leftEnd && right === rightEnd;
}

/** The offset after the length-prefixed string at `at`. */
function skipString(bytes: Uint8Array, at: number): number {
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] as number;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at + length;
  }
}

/** Bytes that the length prefix of a string of `length` bytes takes. */
export function varintLength(length: number): number {
  let bytes = 1;
  for (let rest = length; rest >= 0x80; rest >>>= 7) bytes++;
  return bytes;
}

function writeBytes(into: Uint8Array, at: number, bytes: Uint8Array): number {
  let rest = bytes.length;
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[at++] = rest;
  into.set(bytes, at);
  return at + bytes.length;
}
