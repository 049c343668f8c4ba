import { describe, expect, test } from 'vitest';
import { isVarveError } from '../../../core/std/errors.js';
import { type RawQueryRequest, readQueryRequest } from '../../../query/http/query-parameters.js';

const read = (raw: Partial<RawQueryRequest>) =>
  readQueryRequest({ query: {}, body: undefined, accept: undefined, ifNoneMatch: undefined, ...raw });

test('the body stands before the query string', () => {
  const request = read({
    query: { db: 'a', q: 'select 1', format: 'csv' },
    body: { q: 'select 2', params: { x: 1, y: null }, tier: 'settled', snapshot: 's' },
    ifNoneMatch: '"t"',
  });
  expect(request).toEqual({
    database: 'a',
    sql: 'select 2',
    parameters: { x: 1, y: null },
    format: 'csv',
    tier: 'settled',
    snapshot: 's',
    consistency: 'quorum',
    allowPartial: false,
    ifNoneMatch: '"t"',
  });
});

test('params in a query string are JSON text', () => {
  const query = { db: 'a', q: 'q', params: '{"a":"b","c":1.5,"d":true}' };
  expect(read({ query }).parameters).toEqual({ a: 'b', c: 1.5, d: true });
});

test('consistency and allow_partial are taken from both', () => {
  const query = { db: 'a', q: 'q', consistency: 'one', allow_partial: 'true' };
  expect(read({ query })).toMatchObject({ consistency: 'one', allowPartial: true });
  const body = { consistency: 'quorum', allow_partial: false };
  expect(read({ query, body })).toMatchObject({ consistency: 'quorum', allowPartial: false });
});

test.each<readonly [string | undefined, string]>([
  [undefined, 'json'],
  ['*/*', 'json'],
  ['text/html', 'json'],
  ['text/csv', 'csv'],
  ['application/jsonl', 'jsonl'],
  ['application/x-ndjson; charset=utf-8', 'jsonl'],
  ['text/plain', 'pretty'],
  ['application/vnd.apache.parquet', 'parquet'],
  ['application/vnd.apache.arrow.stream', 'arrow'],
  ['text/csv;q=0.5, application/json', 'json'],
  ['text/csv;q=0.5, */*;q=0.1', 'csv'],
  ['text/csv;q=0, text/plain;q=0.2', 'pretty'],
])('Accept: %s', (accept, format) => {
  expect(read({ query: { db: 'a', q: 'q' }, accept }).format).toBe(format);
});

test('a format that is named stands before Accept', () => {
  expect(read({ query: { db: 'a', q: 'q', format: 'arrow' }, accept: 'text/csv' }).format).toBe('arrow');
});

describe('what is wrong is named', () => {
  test.each<readonly [string, Partial<RawQueryRequest>, string]>([
    ['no database', { query: { q: 'q' } }, 'got no db'],
    ['no SQL', { query: { db: 'a' } }, 'got no q'],
    ['a parameter twice', { query: { db: ['a', 'b'], q: 'q' } }, 'got db as'],
    ['an unknown parameter', { query: { db: 'a', q: 'q', limit: '5' } }, '"limit"'],
    ['an unknown format', { query: { db: 'a', q: 'q', format: 'xml' } }, 'got format "xml"'],
    ['an unknown level', { query: { db: 'a', q: 'q', consistency: 'all' } }, 'got consistency "all"'],
    ['a flag of another kind', { query: { db: 'a', q: 'q', allow_partial: '1' } }, 'got allow_partial "1"'],
    ['an unknown tier', { query: { db: 'a', q: 'q', tier: 'hot' } }, 'got tier "hot"'],
    ['a body that is no object', { query: { db: 'a', q: 'q' }, body: [1] }, 'the body'],
    ['params that are no JSON', { query: { db: 'a', q: 'q', params: '{' } }, 'no JSON'],
    ['params that are no object', { query: { db: 'a', q: 'q', params: '[1]' } }, 'no JSON object'],
    ['a nested value', { body: { db: 'a', q: 'q', params: { x: [1] } } }, '$x'],
    ['an integer that JSON rounds', { body: { db: 'a', q: 'q', params: { x: 2 ** 60 } } }, 'exactly'],
  ])('%s', (_name, raw, part) => {
    try {
      read(raw);
    } catch (error) {
      expect(isVarveError(error, 'invalid')).toBe(true);
      expect(String(error)).toContain(part);
      return;
    }
    throw new Error('want a failure');
  });
});
