import { describe, expect, it } from 'vitest';
import type { TableSchema } from '../../../core/model/schema.js';
import { decode, newCaches, plainRows } from './decode.js';

const cpu: TableSchema = {
  table: 'cpu',
  hasTimeNs: false,
  columns: [
    { name: 'host', kind: 'tag', type: 'string', fieldId: 3 },
    { name: 'x', kind: 'field', type: 'double', fieldId: 4 },
    { name: 'n', kind: 'field', type: 'bigint', fieldId: 5 },
  ],
};

/** The messages of the rejected lines, with their numbers. */
function rejections(body: string, limits = {}): string[] {
  return decode(body, { schemas: [cpu], limits }).rejected.map(
    (line) => `line ${line.lineNumber}: ${line.message}`,
  );
}

describe('line protocol against the schema', () => {
  it('rejects the line whose field has another type than the table, naming both', () => {
    expect(rejections('cpu x=1\ncpu n=1i\ncpu x="abc"\ncpu n=2.5,x=1\n')).toEqual([
      'line 3: field "x" of table "cpu": got string "abc"; want double as in the table',
      'line 4: field "n" of table "cpu": got double 2.5; want bigint as in the table',
    ]);
  });

  it('takes the type of a new column from the first good line', () => {
    expect(rejections('cpu y=1i,x=bad\ncpu y="s"\ncpu y=1i\n')).toEqual([
      expect.stringMatching(/^line 1: got value bad/),
      'line 3: field "y" of table "cpu": got bigint 1i; want string as in the table',
    ]);
  });

  it('rejects a tag that is a field and a field that is a tag', () => {
    expect(rejections('cpu,x=1 n=1i\ncpu host=1\ncpu,host=a,new=b n=1i\ncpu new=1\n')).toEqual([
      'line 1: got "x" as a tag of table "cpu"; it is a field there (double)',
      'line 2: got "host" as a field of table "cpu"; it is a tag there',
      'line 4: got "new" as a field of table "cpu"; it is a tag there',
    ]);
  });

  it('rejects a new column that differs from another by case only', () => {
    expect(rejections('cpu X=1\ncpu,HOST=a x=1\ncpu Ä=1\ncpu ä=1\n')).toEqual([
      'line 1: got new column "X" of table "cpu", which has "x"; want names that differ by more than case',
      'line 2: got new column "HOST" of table "cpu", which has "host"; want names that differ by more than case',
      'line 4: got new column "ä" of table "cpu", which has "Ä"; want names that differ by more than case',
    ]);
  });

  it('rejects the line that would pass the limit of columns, tags included', () => {
    expect(rejections('cpu a=1\ncpu b=1\ncpu,t=1 x=1\ncpu x=1,a=2\n', { columnsMax: 4 })).toEqual([
      'line 2: got new column "b" of table "cpu", which has 4 columns; want at most 4',
      'line 3: got new column "t" of table "cpu", which has 4 columns; want at most 4',
    ]);
  });

  it('rejects lines past the limit of tables, not counting tables that only bad lines name', () => {
    expect(rejections('bad1 f\nbad2 f=\na f=1\nb f=1\nc f=1\na f=2\n', { tablesMax: 2 }).slice(2)).toEqual([
      'line 5: got more than 2 tables; want at most that many in a database',
    ]);
  });

  it('forgets the columns of one request in the next', () => {
    const caches = newCaches();
    decode('m,t=1 f=1 1\n', { caches });
    expect(decode('m,t=1 f="s" 1\nm t="field now" 2\n', { caches }).rejected).toHaveLength(1);
    expect(decode('m t="field now" 2\n', { caches }).rejected).toHaveLength(0);
  });

  it('keeps interleaved requests apart that share their caches', () => {
    const caches = newCaches(0);
    const bodies = ['a', 'b'].map((tag) =>
      Array.from({ length: 3000 }, (_, i) => `m,t=${tag}${i % 700} f=${i} ${i}\n`).join(''),
    );
    const alone = bodies.map((body) => plainRows(decode(body)));
    expect(bodies.map((body) => plainRows(decode(body, { caches })))).toEqual(alone);
    expect(bodies.map((body) => plainRows(decode(body, { caches })))).toEqual(alone);
  });
});
