import { VarveError } from '../std/errors.js';

/** Folder of uploads under way in the file system store; no key may begin with it in any store. */
export const uploadsFolder = '.uploads';

const keyBytesMax = 1024;
const segmentBytesMax = 255;

/**
 * Refuses, as `invalid`, a key that some object store could not hold: every store refuses the same ones.
 * A key is 1 to 1,024 bytes of segments joined by slashes; a segment is 1 to 255 bytes, not `.` or `..`, without
 * backslashes and control characters.
 */
export function checkObjectKey(key: string): void {
  const reason = keyDefect(key);
  if (reason !== undefined) throw new VarveError('invalid', `object key ${JSON.stringify(key)}: ${reason}`);
}

/** True for keys that `checkObjectKey` lets pass. */
export function isObjectKey(key: string): boolean {
  return keyDefect(key) === undefined;
}

function keyDefect(key: string): string | undefined {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > keyBytesMax) return `got ${bytes} bytes; want 1 to ${keyBytesMax}`;
  if (Buffer.from(key).toString() !== key) return 'got text that is not well-formed Unicode';
  const segments = key.split('/');
  if (segments[0] === uploadsFolder) return `keys below ${uploadsFolder}/ are reserved`;
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..')
      return `got the segment "${segment}"; want names`;
    if (Buffer.byteLength(segment) > segmentBytesMax)
      return `a segment has more than ${segmentBytesMax} bytes`;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\u0000-\u001f\u007f\\]/.test(segment)) return 'got a control character or a backslash';
  }
  return undefined;
}

/** Refuses, as `invalid`, a prefix whose folders no key can have. */
export function checkObjectPrefix(prefix: string): void {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (folder !== '') checkObjectKey(folder.slice(0, -1));
}

/** Refuses, as `invalid`, a range that is not made of whole numbers from 0 up. */
export function checkRange(key: string, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0) return;
  throw new VarveError(
    'invalid',
    `read ${key}: got offset ${offset} and length ${length}; want whole numbers from 0 up`,
  );
}
