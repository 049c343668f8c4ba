import { VarveError } from '../std/errors.js';

const keyBytesMax = 1024;
/** Longest value of an item in bytes of UTF-8; DynamoDB holds 400 KB an item, keys and attributes included. */
export const metaValueBytesMax = 350 * 1024;

/** Refuses, as `invalid`, a key that some meta store could not hold. */
export function checkMetaKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > keyBytesMax) {
    throw new VarveError(
      'invalid',
      `meta store key ${key.slice(0, 80)}: got ${bytes} bytes; want 1 to ${keyBytesMax}`,
    );
  }
  if (Buffer.from(key).toString() !== key) {
    throw new VarveError(
      'invalid',
      `meta store key ${JSON.stringify(key)}: got text that is not well-formed Unicode`,
    );
  }
}

/** Refuses, as `invalid`, a prefix that some meta store could not range over: it needs a first segment and its slash. */
export function checkMetaPrefix(prefix: string): void {
  checkMetaKey(prefix);
  if (prefix.indexOf('/') < 1) {
    throw new VarveError(
      'invalid',
      `range over ${prefix}: want a prefix with a first segment and its slash, as kind/`,
    );
  }
}

/** Refuses, as `too-large`, a value that some meta store could not hold. */
export function checkMetaValue(key: string, value: string): void {
  const bytes = Buffer.byteLength(value);
  if (bytes > metaValueBytesMax) {
    throw new VarveError(
      'too-large',
      `put ${key}: got a value of ${bytes} bytes; want at most ${metaValueBytesMax}`,
    );
  }
}
