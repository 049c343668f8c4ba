/**
 * Line protocol parsed the slow, obvious way, as docs/line-protocol.md says it: what the decoder is compared with.
 * Text is held one character a byte (latin1), so that positions are bytes.
 */
export type ReferenceValue =
  | { readonly type: 'double' | 'boolean'; readonly value: number }
  | { readonly type: 'bigint' | 'ubigint'; readonly value: bigint }
  | { readonly type: 'string'; readonly value: string };

export interface ReferenceRow {
  readonly lineNumber: number;
  readonly table: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, ReferenceValue>>;
  /** Text of the number, or null for the server's time. */
  readonly time: string | null;
}

export interface ReferenceResult {
  readonly rows: readonly ReferenceRow[];
  readonly rejectedLines: readonly number[];
}

interface Line {
  readonly number: number;
  readonly text: string;
  readonly closed: boolean;
}

class Malformed extends Error {}

export function parseReference(body: Uint8Array): ReferenceResult {
  const rows: ReferenceRow[] = [];
  const rejectedLines: number[] = [];
  const kinds = new Map<string, string>();
  for (const line of splitLines(Buffer.from(body).toString('latin1'))) {
    try {
      if (!line.closed) throw new Malformed('string not closed');
      const row = parseLine(line);
      checkColumns(row, kinds);
      rows.push(row);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      rejectedLines.push(line.number);
    }
  }
  return { rows, rejectedLines };
}

/** Lines that are neither blank nor comments, without what ends them and the blanks before them. */
function splitLines(text: string): Line[] {
  const lines: Line[] = [];
  let number = 1;
  let rest = text;
  while (rest !== '') {
    const blanks = /^(?:[ \t]|\r(?=\n))*/.exec(rest)?.[0] ?? '';
    rest = rest.slice(blanks.length);
    if (rest === '' || rest === '\r') break;
    const end = rest.startsWith('\n') || rest.startsWith('#') ? plainEnd(rest) : lineEnd(rest);
    const closed = end !== -1;
    const line = closed ? rest.slice(0, end) : rest;
    rest = closed ? rest.slice(end + 1) : '';
    const isLine = line !== '' && !line.startsWith('#');
    if (isLine) lines.push({ number, text: closed ? line.replace(/\r$/, '') : line, closed });
    number += 1 + (line.match(/\n/g)?.length ?? 0);
  }
  return lines;
}

function plainEnd(text: string): number {
  const end = text.indexOf('\n');
  return end === -1 ? text.length : end;
}

/** Index of the newline that ends the line at the start of `text`, its length for the end of input, -1 inside a string. */
function lineEnd(text: string): number {
  let at = keyEnd(text);
  while (at < text.length && text[at] !== '\n') {
    if (text[at] === '"' && text[at - 1] === '=' && text[at - 2] !== '\\') {
      const string = /^"(?:\\["\\]|\\(?!["\\])|[^"\\])*"/.exec(text.slice(at));
      if (string === null) return -1;
      at += string[0].length;
    } else at++;
  }
  return at;
}

/** A space is escaped by the one backslash before it, whatever stands before that. */
function keyEnd(text: string): number {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\n') return at;
    if (text[at] === ' ' && text[at - 1] !== '\\') return at;
  }
  return text.length;
}

function parseLine(line: Line): ReferenceRow {
  const { text } = line;
  if (text.includes('\0')) throw new Malformed('NUL');
  const end = keyEnd(text);
  const [measurement, ...tagTexts] = splitUnescaped(text.slice(0, end), ',');
  const table = name(measurement ?? '', /\\([, ])/g);
  const tags: Record<string, string> = {};
  for (const tagText of tagTexts) {
    const parts = splitUnescaped(tagText, '=');
    if (parts.length !== 2) throw new Malformed('tag');
    const key = name(parts[0] ?? '', /\\([,= ])/g);
    if (Object.hasOwn(tags, key) || reserved(key)) throw new Malformed('tag twice or reserved');
    tags[key] = tagValue(parts[1] ?? '');
  }
  const fields: Record<string, ReferenceValue> = {};
  let rest = text.slice(end).replace(/^ +/, '');
  for (;;) {
    const field =
      /^((?:\\[,= ]|\\(?![,= ])|[^,= \\\n])*)=("(?:\\["\\]|\\(?!["\\])|[^"\\])*"|[^", \n\r][^, \n\r]*)/.exec(
        rest,
      );
    if (field === null) throw new Malformed('field');
    const key = name(field[1] ?? '', /\\([,= ])/g);
    if (reserved(key)) throw new Malformed('reserved');
    const value = parseValue(field[2] ?? '');
    if (fields[key] !== undefined && fields[key].type !== value.type) throw new Malformed('type');
    fields[key] = value;
    rest = rest.slice(field[0].length);
    if (!rest.startsWith(',')) break;
    rest = rest.slice(1);
  }
  const tail = /^(?: +(-?\d+))? *$/.exec(rest);
  if (tail === null) throw new Malformed('timestamp');
  return { lineNumber: line.number, table, tags, fields, time: checkTime(tail[1] ?? null) };
}

function checkTime(time: string | null): string | null {
  if (time === null) return null;
  const value = BigInt(time);
  if (value < -(2n ** 63n) + 2n || value > 2n ** 63n - 2n) throw new Malformed('time range');
  return value.toString();
}

function parseValue(text: string): ReferenceValue {
  if (text.startsWith('"')) {
    return { type: 'string', value: utf8(text.slice(1, -1)).replace(/\\(["\\])/g, '$1') };
  }
  if (/^[+-]?\d+i$/.test(text)) return integer('bigint', text, -(2n ** 63n), 2n ** 63n - 1n);
  if (/^\+?\d+u$/.test(text)) return integer('ubigint', text, 0n, 2n ** 64n - 1n);
  if (/^(t|T|true|True|TRUE)$/.test(text)) return { type: 'boolean', value: 1 };
  if (/^(f|F|false|False|FALSE)$/.test(text)) return { type: 'boolean', value: 0 };
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) throw new Malformed('value');
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Malformed('infinite');
  return { type: 'double', value };
}

function integer(type: 'bigint' | 'ubigint', text: string, min: bigint, max: bigint): ReferenceValue {
  const value = BigInt(text.slice(0, -1).replace('+', ''));
  if (value < min || value > max) throw new Malformed('integer range');
  return { type, value };
}

/** Every column is a tag or a field of one type, and no two differ by case only. */
function checkColumns(row: ReferenceRow, kinds: Map<string, string>): void {
  const columns = [
    ...Object.keys(row.tags).map((key) => [key, 'tag']),
    ...Object.entries(row.fields).map(([key, value]) => [key, value.type]),
  ];
  const added = new Map<string, string>();
  for (const [key = '', kind = ''] of columns) {
    const folded = `${row.table}\0${key.toLowerCase()}`;
    const known = kinds.get(folded) ?? added.get(folded);
    if (known !== undefined && known !== `${key}\0${kind}`) throw new Malformed('column');
    added.set(folded, `${key}\0${kind}`);
  }
  for (const [key, kind] of added) kinds.set(key, kind);
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    if (at < text.length && (text[at] !== separator || (at > start && text[at - 1] === '\\'))) continue;
    parts.push(text.slice(start, at));
    start = at + 1;
  }
  return parts;
}

function name(text: string, escapes: RegExp): string {
  const plain = utf8(text).replace(escapes, '$1');
  const length = Buffer.byteLength(plain);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (length === 0 || length > 256 || /[\u0000-\u001f\u007f]/.test(plain)) throw new Malformed('name');
  return plain;
}

function tagValue(text: string): string {
  if (text === '' || text.length > 65_535) throw new Malformed('tag value');
  return utf8(text).replace(/\\([,= ])/g, '$1');
}

function reserved(key: string): boolean {
  return key.toLowerCase() === 'time' || key.toLowerCase() === 'time_ns';
}

function utf8(latin1: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    throw new Malformed('UTF-8');
  }
}
