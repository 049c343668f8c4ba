import { describe, expect, it } from 'vitest';
import { codeOnly, sourceFiles } from './source-files.js';

const files = sourceFiles();
const product = files.filter((file) => !/^(test|bench)\//.test(file.path));

/** Files of more than 400 lines, with the reason each is allowed. Empty is the aim. */
const longFiles: ReadonlyMap<string, string> = new Map([]);
const productLinesMax = 400;
/** Tests list many cases of one thing; past this they too want to be parted. */
const testLinesMax = 700;

/** Where ambient time and randomness may be read: the adapters that turn them into ports, and composition roots. */
const ambientAllowed = /^(core\/adapters|cli)\//;

function linesMatching(pattern: RegExp, among = product): string[] {
  return among.flatMap((file) =>
    codeOnly(file.text)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

describe('style rules', () => {
  it('keeps files to 400 lines, tests to 700', () => {
    const linesMax = (path: string): number => (path.startsWith('test/') ? testLinesMax : productLinesMax);
    const long = files.filter(
      ({ path, text }) => text.split('\n').length > linesMax(path) + 1 && !longFiles.has(path),
    );
    expect(long.map((file) => file.path)).toEqual([]);
  });

  it('reads time and randomness through the Clock and Random ports', () => {
    const ambient =
      /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bprocess\.hrtime\b|\brandomUUID\b|\brandomBytes\b/;
    expect(linesMatching(ambient).filter((line) => !ambientAllowed.test(line))).toEqual([]);
  });

  it('reads the environment in composition roots only', () => {
    expect(linesMatching(/\bprocess\.(env|argv)\b/).filter((line) => !line.startsWith('cli/'))).toEqual([]);
  });

  it('has no empty catch, no suppressed type error and no enum', () => {
    const pattern =
      /catch\s*(\([^)]*\))?\s*\{\s*\}|@ts-(ignore|nocheck|expect-error)|^\s*(export\s+)?(const\s+)?enum\s/;
    expect(linesMatching(pattern, files)).toEqual([]);
  });

  it('gives every exported class, function and constant of product code a docstring', () => {
    const undocumented = product.flatMap((file) => {
      const lines = file.text.split('\n');
      return lines.flatMap((line, index) => {
        if (!/^export (abstract class|class|function|async function|const) /.test(line)) return [];
        return (lines[index - 1] ?? '').trim().endsWith('*/') ? [] : [`${file.path}:${index + 1}: ${line}`];
      });
    });
    expect(undocumented).toEqual([]);
  });

  it('names files in kebab-case and none utils, common, helper or manager', () => {
    const names = files.map((file) => file.path.split('/').at(-1) ?? '');
    expect(
      names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config|\.worker|\.as|\.d)?\.ts$/.test(name)),
    ).toEqual([]);
    expect(names.filter((name) => /\b(utils?|common|helpers?|manager)\b/.test(name))).toEqual([]);
  });

  it('speaks of no machine path', () => {
    const paths = files.filter(
      (file) =>
        /\/(home|root|Users)\/[a-z]/.test(file.text) && file.path !== 'test/rules/style-rules.test.ts',
    );
    expect(paths.map((file) => file.path)).toEqual([]);
  });
});
