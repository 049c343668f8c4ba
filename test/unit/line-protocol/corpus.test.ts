import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { decode, type PlainRow, plainRows } from './decode.js';

const path = resolve(import.meta.dirname, '../../../../shared/corpus/line-protocol/corpus.json');
const present = existsSync(path);

type CorpusText = string | { readonly binary: string };
type CorpusValue = { readonly [type: string]: CorpusText | number | boolean };
interface CorpusPoint {
  readonly time: string;
  readonly name: CorpusText;
  readonly tags?: readonly { readonly key: CorpusText; readonly value: CorpusText }[];
  readonly fields: readonly { readonly key: CorpusText; readonly value: CorpusValue }[];
}
interface CorpusCase {
  readonly input: {
    readonly key: string;
    readonly text: CorpusText;
    readonly defaultTime: string;
    readonly precision: string;
  };
  readonly output: { readonly result?: readonly CorpusPoint[]; readonly error?: string };
}

/** Cases by how Varve and the corpus compare; docs/line-protocol.md explains each class. */
const wantTally = {
  'both reject': 1144,
  'only Varve accepts: a tab before the line': 1,
  'both accept, same points': 182,
  'both accept, but the corpus writes negative zero as 0': 2,
  'both accept, but the server time is not cut to the precision': 2,
  'only the corpus accepts: names that differ by case only': 4,
  'only the corpus accepts: reserved name': 2,
};

const nsPerUnit = { ns: 1n, us: 1_000n, ms: 1_000_000n, s: 1_000_000_000n };

describe(`the corpus of line protocol${present ? '' : ` (skipped: there is no ${path})`}`, () => {
  it.runIf(present)('agrees as docs/line-protocol.md says', () => {
    const tally: Record<string, number> = {};
    for (const each of readCorpus()) {
      const outcome = compare(each);
      tally[outcome] = (tally[outcome] ?? 0) + 1;
    }
    expect(tally).toEqual(wantTally);
  });
});

function readCorpus(): CorpusCase[] {
  // Times and 64-bit integers do not fit a double: read them as text.
  const exact = readFileSync(path, 'utf8').replace(/"(time|defaultTime|int|uint)": ?(-?\d+)/g, '"$1":"$2"');
  return Object.values((JSON.parse(exact) as { decode: Record<string, CorpusCase> }).decode);
}

function compare({ input, output }: CorpusCase): string {
  const unit = input.precision.replace('1', '').replace('µ', 'u') as keyof typeof nsPerUnit;
  const got = decode(textBytes(input.text), { precision: unit, nowNs: BigInt(input.defaultTime) });
  const problem = got.rejected[0]?.message;
  if (output.result === undefined) {
    return problem === undefined ? acceptedClass(output.error ?? '') : 'both reject';
  }
  if (problem !== undefined) return rejectedClass(problem);
  const want = output.result.map(plainPoint);
  const rows = plainRows(got).map(({ lineNumber: _, ...row }) => row);
  if (isDeepStrictEqual(rows, want)) return 'both accept, same points';
  if (JSON.stringify(rows, bigintText) === JSON.stringify(want, bigintText)) {
    return 'both accept, but the corpus writes negative zero as 0';
  }
  const cut = rows.map((row) => ({ ...row, timeNs: row.timeNs - (row.timeNs % nsPerUnit[unit]) }));
  return isDeepStrictEqual(cut, want)
    ? 'both accept, but the server time is not cut to the precision'
    : `both accept, other points: ${input.key}`;
}

function acceptedClass(corpusError: string): string {
  return corpusError.endsWith("'\\t' found at start of measurement name")
    ? 'only Varve accepts: a tab before the line'
    : `only Varve accepts: ${corpusError}`;
}

function rejectedClass(problem: string): string {
  if (problem.endsWith('want names that differ by more than case')) {
    return 'only the corpus accepts: names that differ by case only';
  }
  return problem.includes('are reserved')
    ? 'only the corpus accepts: reserved name'
    : `only the corpus accepts: ${problem}`;
}

function plainPoint(point: CorpusPoint): Omit<PlainRow, 'lineNumber'> {
  return {
    table: textOf(point.name),
    tags: Object.fromEntries((point.tags ?? []).map(({ key, value }) => [textOf(key), textOf(value)])),
    fields: Object.fromEntries(point.fields.map(({ key, value }) => [textOf(key), corpusValue(value)])),
    timeNs: BigInt(point.time),
  };
}

function corpusValue(value: CorpusValue): string | number | bigint | boolean {
  const [type, content] = Object.entries(value)[0] ?? [];
  if (type === 'int' || type === 'uint') return BigInt(content as string);
  if (type === 'string') return textOf(content as CorpusText);
  return content as number | boolean;
}

function textBytes(text: CorpusText): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.binary, 'base64');
}

function textOf(text: CorpusText): string {
  return textBytes(text).toString('utf8');
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
