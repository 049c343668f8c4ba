import { nameDefect } from '../../../core/catalog/keys.js';
import { reservedColumnNames } from '../../../core/model/schema.js';
import type { Tag } from '../../../core/model/series-key.js';
import { backslash, comma, decodeUtf8, equals, nul } from './bytes.js';

/** Longest tag value, in bytes as it stands on the line. What names may be, the catalog says. */
export const tagValueBytesMax = 65_535;

export type ParsedSeries =
  | { readonly kind: 'series'; readonly table: string; readonly tags: readonly Tag[] }
  | { readonly kind: 'malformed'; readonly message: string };

/**
 * Parses the first section of a line, bytes [start, end): `measurement[,tag=value…]`. A backslash escapes a comma
 * or space in the measurement, and a comma, space or equals sign in tags; before any other byte it is a backslash.
 * Runs once a distinct key, not once a line.
 */
export function parseSeries(bytes: Uint8Array, start: number, end: number): ParsedSeries {
  if (bytes.subarray(start, end).includes(nul)) return malformed('got a NUL byte; want none');
  const tableEnd = findUnescaped(bytes, start, end, comma);
  if (tableEnd === start) return malformed('got no measurement; want a name at the start of the line');
  const table = readName(bytes, start, tableEnd, false);
  if (table === undefined) return malformed(notUtf8('measurement', bytes, start, tableEnd));
  const defect = nameDefect(table);
  if (defect !== undefined) return malformed(`measurement: ${defect}`);
  const tags: Tag[] = [];
  const seen = new Set<string>();
  for (let at = tableEnd; at < end; ) {
    const tagStart = at + 1;
    const tagEnd = findUnescaped(bytes, tagStart, end, comma);
    const tag = parseTag(bytes, tagStart, tagEnd);
    if (typeof tag === 'string') return malformed(tag);
    if (seen.has(tag.name)) return malformed(`got tag "${tag.name}" twice; want each tag once`);
    seen.add(tag.name);
    tags.push(tag);
    at = tagEnd;
  }
  return { kind: 'series', table, tags };
}

function parseTag(bytes: Uint8Array, start: number, end: number): Tag | string {
  const nameEnd = findUnescaped(bytes, start, end, equals);
  const name = readName(bytes, start, nameEnd, true);
  if (name === undefined) return notUtf8('tag name', bytes, start, nameEnd);
  if (nameEnd === end) {
    return name === ''
      ? 'got nothing after a comma in the tags; want tag=value'
      : `got tag "${name}" without "="; want tag=value`;
  }
  if (name === '') return 'got an empty tag name; want tag=value';
  const defect = nameDefect(name);
  if (defect !== undefined) return `tag name: ${defect}`;
  if (reservedColumnNames.has(name.toLowerCase())) return reservedProblem('tag', name);
  const valueStart = nameEnd + 1;
  if (findUnescaped(bytes, valueStart, end, equals) !== end) {
    return `got an unescaped "=" in the value of tag "${name}"; want "\\="`;
  }
  if (end - valueStart > tagValueBytesMax) {
    return `got a value of tag "${name}" of ${end - valueStart} bytes; want at most ${tagValueBytesMax}`;
  }
  const value = readName(bytes, valueStart, end, true);
  if (value === undefined) return notUtf8(`value of tag "${name}"`, bytes, valueStart, end);
  if (value === '') return `got an empty value for tag "${name}"; leave out a tag that has no value`;
  return { name, value };
}

/** Reads a field name, bytes [start, end), or says what is wrong with it. */
export function parseFieldName(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly name: string } | { readonly problem: string } {
  if (start === end) return { problem: 'got an empty field name; want field=value' };
  if (bytes.subarray(start, end).includes(nul)) return { problem: 'got a NUL byte; want none' };
  const name = readName(bytes, start, end, true);
  if (name === undefined) return { problem: notUtf8('field name', bytes, start, end) };
  const defect = nameDefect(name);
  if (defect !== undefined) return { problem: `field name: ${defect}` };
  if (reservedColumnNames.has(name.toLowerCase())) return { problem: reservedProblem('field', name) };
  return { name };
}

/** The position of the first `wanted` byte in [start, end) that no backslash stands before, or `end`. */
export function findUnescaped(bytes: Uint8Array, start: number, end: number, wanted: number): number {
  for (let at = start; at < end; at++) {
    if (bytes[at] === wanted && (at === start || bytes[at - 1] !== backslash)) return at;
  }
  return end;
}

/** Unescapes a name; undefined when it is no valid UTF-8. */
function readName(bytes: Uint8Array, start: number, end: number, equalsToo: boolean): string | undefined {
  const text = decodeUtf8(bytes, start, end);
  if (text === undefined || !text.includes('\\')) return text;
  return equalsToo ? text.replace(/\\([,= ])/g, '$1') : text.replace(/\\([, ])/g, '$1');
}

function notUtf8(what: string, bytes: Uint8Array, start: number, end: number): string {
  const bad = Buffer.from(bytes.subarray(start, Math.min(end, start + 24))).toString('hex');
  return `got a ${what} that is not valid UTF-8 (bytes ${bad}${end - start > 24 ? '…' : ''})`;
}

function reservedProblem(kind: 'tag' | 'field', name: string): string {
  return `got ${kind} "${name}"; "time" and "time_ns" are reserved, want another name`;
}

function malformed(message: string): ParsedSeries {
  return { kind: 'malformed', message };
}
