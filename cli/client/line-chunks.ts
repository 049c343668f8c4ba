/**
 * Cuts line protocol into pieces of whole lines of about `bytesTarget` bytes. A newline inside a quoted string is no
 * cut: a piece ends only where the quotes since its beginning are balanced, or, when that does not come (a quote
 * that stands for itself in a tag), at any newline once the piece is eight times as large.
 */
export async function* lineChunks(
  source: AsyncIterable<Uint8Array>,
  bytesTarget: number,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const bytes of source) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= bytesTarget) {
      const cut = cutAt(rest, bytesTarget);
      if (cut === 0) break;
      yield rest.subarray(0, cut);
      rest = rest.subarray(cut);
    }
  }
  if (rest.length > 0) yield rest;
}

const quote = 34;
const backslash = 92;
const newline = 10;

/** The end of the last whole line within about `bytesTarget` bytes, or 0 when more bytes are needed to tell. */
function cutAt(bytes: Uint8Array, bytesTarget: number): number {
  let balanced = true;
  let cut = 0;
  let anyNewline = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === backslash) at++;
    else if (byte === quote) balanced = !balanced;
    else if (byte === newline) {
      anyNewline = at + 1;
      if (balanced) cut = at + 1;
      if (cut > 0 && at >= bytesTarget) return cut;
    }
  }
  if (cut > 0) return cut;
  return bytes.length >= bytesTarget * 8 ? anyNewline : 0;
}
