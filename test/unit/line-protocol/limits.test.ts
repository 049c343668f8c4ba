import { describe, expect, it } from 'vitest';
import { decode, newCaches, plainRows } from './decode.js';

const cutEvery = (length: number, step: number): number[] =>
  Array.from({ length: Math.floor((length - 1) / step) }, (_, i) => (i + 1) * step);

describe('line protocol: limits', () => {
  it.each([7, 1000, 65_536, 10_000_000])(
    'rejects a line past the limit alone, in pieces of %i bytes',
    (step) => {
      const long = 'x'.repeat(300_000);
      const body = `m f=1 1\nm,t=a s="${long}\n${long}" 2\nm f=3 3\n# ${long}\nm s="${long}" 4\nm,t=${long} f=5 5`;
      const got = decode(body, { limits: { lineBytesMax: 400_000 }, cuts: cutEvery(body.length, step) });
      expect(got.rejected.map(({ lineNumber, line, message }) => [lineNumber, line.length, message])).toEqual(
        [
          [2, 256, 'got a line of more than 400000 bytes; want at most that'],
          [7, 256, 'got a value of tag "t" of 300000 bytes; want at most 65535'],
        ],
      );
      expect(plainRows(got).map((row) => [row.lineNumber, row.timeNs])).toEqual([
        [1, 1n],
        [4, 3n],
        [6, 4n],
      ]);
    },
  );

  it('takes a line of exactly the limit and none that is a byte longer', () => {
    const line = 'm f=1 12345\n';
    expect(decode(line, { limits: { lineBytesMax: line.length } }).rejectedCount).toBe(0);
    expect(decode(line, { limits: { lineBytesMax: line.length - 1 } }).rejectedCount).toBe(1);
  });

  it('skips a comment past the limit without a rejection, and blanks likewise', () => {
    const got = decode(`# ${'x'.repeat(200_000)}\n${' '.repeat(200_000)}m f=1 1\n`, {
      limits: { lineBytesMax: 1000 },
    });
    expect(got.rejectedCount).toBe(0);
    expect(plainRows(got)).toMatchObject([{ lineNumber: 2 }]);
  });

  it('keeps the first rejected lines and counts all', () => {
    const got = decode('bad\n'.repeat(5000), { limits: { rejectedDetailsMax: 3 } });
    expect(got.rejected.map((line) => line.lineNumber)).toEqual([1, 2, 3]);
    expect(got.rejectedCount).toBe(5000);
    expect(got.lineCount).toBe(5000);
  });

  it('refuses a request whose columns would take far more memory than it has bytes', () => {
    const body = Array.from({ length: 4000 }, (_, i) => `m f${i}=1\n`).join('');
    expect(() => decode(body, { limits: { columnsMax: 4000, rowBytesMax: 16 << 20 } })).toThrow(
      expect.objectContaining({ kind: 'too-large' }),
    );
    // The caches are as good as before.
    const caches = newCaches();
    expect(() => decode(body, { caches, limits: { columnsMax: 4000, rowBytesMax: 16 << 20 } })).toThrow();
    expect(plainRows(decode('m f1=1 1\nm f2=2 2\n', { caches })).map((row) => row.fields)).toEqual([
      { f1: 1 },
      { f2: 2 },
    ]);
  });

  it('takes a line of ten thousand columns where that is allowed', () => {
    const fields = Array.from({ length: 10_000 }, (_, i) => `f${i}=${i}`).join(',');
    const got = decode(`m ${fields} 1\nm ${fields} 2\n`, { limits: { columnsMax: 10_000 } });
    expect(got.tables[0]?.rows.fields).toHaveLength(10_000);
    expect(decode(`m ${fields} 1\n`).rejected[0]?.message).toMatch(
      /which has 1000 columns; want at most 1000/,
    );
  });

  it('takes numbers of very many digits for what they are', () => {
    const zeros = '0'.repeat(500_000);
    const nines = '9'.repeat(500_000);
    const got = decode(
      `m a=${zeros}7i,b=0.${zeros}1,c=1.${nines} ${zeros}5\nm a=${nines}i\nm a=1i ${nines}\nm b=${nines}`,
      {
        limits: { lineBytesMax: 4 << 20 },
      },
    );
    expect(plainRows(got)).toMatchObject([{ fields: { a: 7n, b: 0, c: 2 }, timeNs: 5n }]);
    expect(got.rejected.map((line) => line.lineNumber)).toEqual([2, 3, 4]);
  });

  it('gives the same rows in every piece size: split at every byte', () => {
    const body = Buffer.from(
      'cpu,host=a\\ b,region=é u=1.5,s="x\ny \\" z",i=-5i 1700000000000000000\r\n# c\nbad\ncpu u=2 7\ncpu,t="x" u="bad"\nmem x=1',
    );
    const whole = decode(body);
    expect(whole.rejected.map((line) => line.lineNumber)).toEqual([4, 6]);
    for (let cut = 0; cut <= body.length; cut++) expect(decode(body, { cuts: [cut] })).toEqual(whole);
    expect(decode(body, { cuts: cutEvery(body.length, 1) })).toEqual(whole);
  });

  it('keeps to the lines before a cut-off, at every byte', () => {
    const body = 'm,t=a f=1,s="q" 11\nm,t=b f=2i,s="r" 22\n';
    for (let end = 0; end <= body.length; end++) {
      const got = decode(body.slice(0, end));
      const complete = body.slice(0, end).split('\n').length - 1;
      expect(plainRows(got).length).toBeGreaterThanOrEqual(Math.min(complete, 1));
      expect(plainRows(got).length + got.rejectedCount).toBe(got.lineCount);
    }
  });
});
