/** NUL */
export const nul = 0x00;
/** Tab */
export const tab = 0x09;
/** Line feed: ends a line outside strings. */
export const newline = 0x0a;
/** Carriage return: part of the line ending before a line feed. */
export const carriageReturn = 0x0d;
/** Space: separates the sections of a line. */
export const space = 0x20;
/** Double quote: opens and closes strings. */
export const quote = 0x22;
/** #: begins a comment. */
export const hash = 0x23;
/** + */
export const plus = 0x2b;
/** Comma: separates tags, and fields. */
export const comma = 0x2c;
/** - */
export const minus = 0x2d;
/** Decimal point. */
export const dot = 0x2e;
/** 0 */
export const digitZero = 0x30;
/** =: between name and value. */
export const equals = 0x3d;
/** Backslash: escapes. */
export const backslash = 0x5c;
/** i: ends signed integers. */
export const letterI = 0x69;
/** u: ends unsigned integers. */
export const letterU = 0x75;

/**
 * Bytes that must be readable past the end of what is parsed: words of four are read where fewer bytes are left,
 * and what lies beyond is masked off.
 */
export const readSlackBytes = 8;

/** Mask of the low `bytes % 4` bytes of a little-endian word; all of it for a multiple of four. */
export function lastWordMask(bytes: number): number {
  const rest = bytes & 3;
  return rest === 0 ? -1 : (1 << (rest * 8)) - 1;
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lossyDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of bytes [start, end), or undefined when they are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    return strictDecoder.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** For messages: the text of bytes [start, end), at most `charactersMax`, invalid UTF-8 shown as U+FFFD. */
export function previewText(bytes: Uint8Array, start: number, end: number, charactersMax: number): string {
  const text = lossyDecoder.decode(bytes.subarray(start, Math.min(end, start + charactersMax * 4)));
  return text.length <= charactersMax ? text : text.slice(0, charactersMax);
}
