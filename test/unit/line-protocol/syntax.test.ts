import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, plainRows } from './decode.js';

const seed = Number(process.env['VARVE_SEED'] ?? 11);

/** What one line decodes to: its row without the line number, or the message it is rejected with. */
function one(line: string | Uint8Array): unknown {
  const write = decode(line);
  if (write.rejectedCount > 0) return write.rejected[0]?.message;
  return plainRows(write).map(({ lineNumber: _, ...row }) => row)[0];
}

const row = (table: string, tags: object, fields: object, timeNs = 42n): object => ({
  table,
  tags,
  fields,
  timeNs,
});

describe('line protocol: what is accepted', () => {
  it.each<[string, object]>([
    ['m f=1', row('m', {}, { f: 1 })],
    ['m,t=v f=1 7', row('m', { t: 'v' }, { f: 1 }, 7n)],
    ['m f=1 -7', row('m', {}, { f: 1 }, -7n)],
    ['  m   f=1   7   ', row('m', {}, { f: 1 }, 7n)],
    ['m f=1 7\r\n', row('m', {}, { f: 1 }, 7n)],
    ['m f=1\r', row('m', {}, { f: 1 })],
    ['a\\,b\\ c,d\\=e\\ f=g\\,h\\=i j\\,k\\=l=1', row('a,b c', { 'd=e f': 'g,h=i' }, { 'j,k=l': 1 })],
    ['m=x,t=C:\\dir f=1', row('m=x', { t: 'C:\\dir' }, { f: 1 })],
    ['m,t=a\tb f=1', row('m', { t: 'a\tb' }, { f: 1 })],
    ['m,t=a\\\\ b f=1', row('m', { t: 'a\\ b' }, { f: 1 })],
    ['m f="a,b c=d"', row('m', {}, { f: 'a,b c=d' })],
    ['m f="a\nb",g=1 7', row('m', {}, { f: 'a\nb', g: 1 }, 7n)],
    ['m f="say \\"x\\" C:\\\\d \\n"', row('m', {}, { f: 'say "x" C:\\d \\n' })],
    ['m f=""', row('m', {}, { f: '' })],
    ['"m",t="v" "f"=1', row('"m"', { t: '"v"' }, { '"f"': 1 })],
    ['m f=1,f=2', row('m', {}, { f: 2 })],
    ['m f="long one",f="b"', row('m', {}, { f: 'b' })],
    ['m é="ü" 1', row('m', {}, { é: 'ü' }, 1n)],
    ['m,__proto__=x constructor=1', row('m', JSON.parse('{"__proto__":"x"}'), { constructor: 1 })],
  ])('%j', (line, want) => {
    expect(one(line)).toEqual(want);
  });

  it.each<[string, unknown]>([
    ['0', 0],
    ['-0', -0],
    ['1.', 1],
    ['.5', 0.5],
    ['+1.5', 1.5],
    ['-1.5e-3', -0.0015],
    ['1E+3', 1000],
    ['123456789', 123456789],
    ['1234567890', 1234567890],
    ['0.30000000000000004', 0.30000000000000004],
    ['123456789012345.6', 123456789012345.6],
    ['1e-400', 0],
    ['1.7976931348623157e308', Number.MAX_VALUE],
    ['5e-324', Number.MIN_VALUE],
    ['0i', 0n],
    ['-1i', -1n],
    ['+7i', 7n],
    ['2147483648i', 2147483648n],
    ['-4294967297i', -4294967297n],
    ['999999999999999i', 999999999999999n],
    ['-9223372036854775808i', -(2n ** 63n)],
    ['9223372036854775807i', 2n ** 63n - 1n],
    ['0009223372036854775807i', 2n ** 63n - 1n],
    ['0u', 0n],
    ['18446744073709551615u', 2n ** 64n - 1n],
    ...['t', 'T', 'true', 'True', 'TRUE'].map((text): [string, unknown] => [text, true]),
    ...['f', 'F', 'false', 'False', 'FALSE'].map((text): [string, unknown] => [text, false]),
  ])('value %s', (text, want) => {
    // The second line goes through the prediction that the first one made.
    const rows = plainRows(decode(`m f=${text},g=1\nm f=${text},g=1\n`));
    expect(rows.map((each) => each.fields['f'])).toEqual([want, want]);
  });

  it(`reads every double as Number does (seed ${seed})`, () => {
    const digits = fc.stringMatching(/^[0-9]{0,20}$/);
    const text = fc
      .tuple(
        fc.constantFrom('', '-', '+'),
        digits,
        fc.boolean(),
        digits,
        fc.constantFrom('', 'e5', 'E-7', 'e+20', 'e-300'),
      )
      .map(
        ([sign, whole, point, fraction, exponent]) =>
          `${sign}${whole}${point ? `.${fraction}` : ''}${exponent}`,
      )
      .filter((number) => /\d/.test(number.replace(/[eE].*/, '')));
    fc.assert(
      fc.property(text, (number) => {
        const values = plainRows(decode(`m f=${number},g=1\nm f=${number} 5\n`)).map(
          (each) => each.fields['f'],
        );
        expect(values).toEqual([Number(number), Number(number)]);
      }),
      { seed, numRuns: 5000 },
    );
  });

  it(`reads every integer as BigInt does (seed ${seed})`, () => {
    const signed = fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n });
    fc.assert(
      fc.property(fc.oneof(signed, fc.bigInt({ min: -(2n ** 34n), max: 2n ** 34n })), (value) => {
        const fits = (bits: number): bigint[] => (BigInt.asIntN(bits, value) === value ? [value, value] : []);
        const read = (suffix: string): unknown[] =>
          plainRows(decode(`m f=${value}${suffix} 1\nm f=${value}${suffix} 2\n`)).map(
            (each) => each.fields['f'],
          );
        expect(read('i')).toEqual(fits(64));
        expect(read('u')).toEqual(BigInt.asUintN(64, value) === value ? [value, value] : []);
      }),
      { seed, numRuns: 3000 },
    );
  });

  it('skips comments and blank lines but counts them', () => {
    const write = decode('# a comment f="\n\n \t\r\nm f=1 1\n  # another\nm f=2 2\n#last');
    expect(plainRows(write).map(({ lineNumber, timeNs }) => [lineNumber, timeNs])).toEqual([
      [4, 1n],
      [6, 2n],
    ]);
    expect(write.lineCount).toBe(2);
  });

  it('counts the newlines within strings', () => {
    const write = decode('m f="a\nb\n" 1\nbad\nm f="c" 2\n');
    expect(write.rejected.map((line) => line.lineNumber)).toEqual([4]);
    expect(plainRows(write).map((each) => each.lineNumber)).toEqual([1, 5]);
  });

  it('takes one series however its tags are ordered', () => {
    const [table] = decode('m,a=1,b=2 f=1 1\nm,b=2,a=1 f=2 2\nm,a=1,b=2 f=3 3\n').tables;
    expect(table?.rows.seriesKeys.offsets.length).toBe(2);
    expect([...(table?.rows.series ?? [])]).toEqual([0, 0, 0]);
  });

  it('keeps absent fields apart from present ones', () => {
    const rows = plainRows(decode('m a=1 1\nm b=2i 2\nm b=3i,a=4 3\nm c="x" 4\nm a=5 5\n'));
    expect(rows.map((each) => each.fields)).toEqual([
      { a: 1 },
      { b: 2n },
      { a: 4, b: 3n },
      { c: 'x' },
      { a: 5 },
    ]);
  });
});

describe('line protocol: what is rejected, and with which words', () => {
  it.each<[string, string]>([
    ['m', 'got no fields; want at least one field=value after the measurement and tags'],
    ['m ', 'got nothing where a field should be; want field=value'],
    ['m f', 'got field "f" without "="; want field=value'],
    ['m f=', 'got a field without a value; want field=value'],
    ['m f=1,', 'got nothing where a field should be; want field=value'],
    ['m =1', 'got an empty field name; want field=value'],
    [',t=v f=1', 'got no measurement; want a name at the start of the line'],
    ['m, f=1', 'got nothing after a comma in the tags; want tag=value'],
    ['m,t f=1', 'got tag "t" without "="; want tag=value'],
    ['m,=v f=1', 'got an empty tag name; want tag=value'],
    ['m,t= f=1', 'got an empty value for tag "t"; leave out a tag that has no value'],
    ['m,t=a=b f=1', 'got an unescaped "=" in the value of tag "t"; want "\\="'],
    ['m,t=a,t=b f=1', 'got tag "t" twice; want each tag once'],
    ['m,time=a f=1', 'got tag "time"; "time" and "time_ns" are reserved, want another name'],
    ['m Time_NS=1', 'got field "Time_NS"; "time" and "time_ns" are reserved, want another name'],
    ['m f=1 x', 'got "x" where the timestamp should be; want a whole number'],
    ['m f=1 1.5', 'got ".5" after the timestamp; want the end of the line'],
    ['m f=1 1 2', 'got "2" after the timestamp; want the end of the line'],
    [
      'm f=1 9223372036854775807',
      "got timestamp 9223372036854775807, which is out of the range of 64-bit nanoseconds in the request's precision",
    ],
    ['m f="a', 'got a string that is not closed before the end of the request'],
    [
      'm f="a\nm f=1\nm f=2',
      'got a string that is not closed before the end of the request; the 2 lines after it were read as part of it',
    ],
    ['m f="a"b', 'got "b" after the end of a string; want a comma, a space or the end of the line'],
    ['m f="\0"', 'got a NUL byte in a string; want none'],
    ['m,t=\0 f=1', 'got a NUL byte; want none'],
    ['m f\0=1', 'got a NUL byte; want none'],
    ['m\t f=1', 'measurement: got a control character; want a name without'],
    ['m,t\x7f=a f=1', 'tag name: got a control character; want a name without'],
    ['m f\v=1', 'field name: got a control character; want a name without'],
    [`m ${'f'.repeat(257)}=1`, 'field name: got a name of 257 bytes; want 1 to 256'],
    [`${'é'.repeat(129)} f=1`, 'measurement: got a name of 258 bytes; want 1 to 256'],
    [
      'm f=9223372036854775808i',
      'got integer 9223372036854775808i; want -9223372036854775808i to 9223372036854775807i',
    ],
    ['m f=-1u', 'got integer -1u; want 0u to 18446744073709551615u'],
    ['m f=1,f=1i', 'field "f" of table "m": got bigint 1i; want double as in the table'],
    ['m,f=x f=1', 'got "f" as a field of table "m"; it is a tag there'],
    ['m f=1,F=2', 'got new column "F" of table "m", which has "f"; want names that differ by more than case'],
  ])('%j', (line, want) => {
    expect(one(line)).toBe(want);
  });

  it.each([
    'NaN',
    'nan',
    'Inf',
    '-inf',
    '1e400',
    '1e',
    '--1',
    '1.2.3',
    '.',
    '-',
    '0x1f',
    '1ii',
    '1.0i',
    'tru',
    'yes',
    'i',
    'u',
  ])('value %s', (text) => {
    expect(one(`m f=${text}`)).toBe(
      `got value ${text}; want a finite number, an integer with i or u, true or false, or a string in double quotes`,
    );
  });

  it.each<[string, Buffer]>([
    ['a measurement', Buffer.from('m\xff f=1', 'latin1')],
    ['a tag name', Buffer.from('m,\xff=x f=1', 'latin1')],
    ['a tag value', Buffer.from('m,t=\xc3 f=1', 'latin1')],
    ['a field name', Buffer.from('m \xff=1', 'latin1')],
    ['a string', Buffer.from('m f="\xed\xa0\x80"', 'latin1')],
  ])('%s that is not UTF-8', (_, line) => {
    expect(one(line)).toMatch(/not valid UTF-8/);
  });

  it('leaves no trace of a bad line: no column, no series, no table', () => {
    const write = decode('gone,x=1 f=1 bad\nm,t=1 a=1,b=2 bad\nm,t=2 b="text" 1\nm a="also text" 2\n');
    expect(plainRows(write)).toEqual([
      { lineNumber: 3, table: 'm', tags: { t: '2' }, fields: { b: 'text' }, timeNs: 1n },
      { lineNumber: 4, table: 'm', tags: {}, fields: { a: 'also text' }, timeNs: 2n },
    ]);
    expect(write.tables).toHaveLength(1);
    expect(write.tables[0]?.rows.seriesKeys.offsets.length).toBe(3);
  });

  it('keeps the first characters of a rejected line', () => {
    const { rejected } = decode(`m ${'é'.repeat(1000)}\r\n`);
    expect(rejected[0]?.line).toBe(`m ${'é'.repeat(254)}`);
  });
});
