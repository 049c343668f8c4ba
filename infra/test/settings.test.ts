import { describe, expect, it } from 'vitest';
import { readSettings, type Settings, sizes } from '../settings.js';

const read = (context: Readonly<Record<string, unknown>>): Settings => readSettings((key) => context[key]);

describe('settings of a deployment', () => {
  it('has a default for everything', () => {
    expect(read({})).toMatchObject({ stage: 'dev', ingestTasks: 3, zones: 3, size: sizes['small'] });
  });

  it('refuses fewer ingest tasks than what is in flux has copies, and says why', () => {
    expect(() => read({ ingestTasks: '2' })).toThrow(
      /context "ingestTasks": got 2; want 3 to 50: .*on the disks of three tasks/,
    );
    expect(read({ ingestTasks: '5' }).ingestTasks).toBe(5);
  });

  it.each([
    ['ingestTasks', '0'],
    ['ingestTasks', 'many'],
    ['size', 'huge'],
    ['stage', 'Prod!'],
    ['zones', '1'],
    ['clients', '10.0.0.0'],
    ['clients', '0.0.0.0/0'],
    ['tags', 'owner'],
    ['stage', { name: 'dev' }],
  ])('refuses %s = %j and names both', (key, value) => {
    expect(() => read({ [key]: value })).toThrow(new RegExp(`^context "${key}": got .+; want .+`));
  });

  it('reads tags of the command line and of cdk.json', () => {
    expect(read({ tags: 'owner=ops,cost=42' }).tags).toEqual({ owner: 'ops', cost: '42' });
    expect(read({ tags: { owner: 'ops' } }).tags).toEqual({ owner: 'ops' });
  });

  it('leaves room on the disk of a task beside its log and its hints for two other nodes', () => {
    for (const { walBytesMax, hintBytesMax, ingestDiskGiB } of Object.values(sizes)) {
      expect(Number.parseInt(walBytesMax, 10) + 2 * Number.parseInt(hintBytesMax, 10)).toBeLessThan(
        ingestDiskGiB - 8,
      );
    }
  });

  it('leaves memory beside the hot tier in every size', () => {
    const mebibytes = (text: string): number => Number.parseInt(text, 10) * (text.endsWith('GiB') ? 1024 : 1);
    for (const size of Object.values(sizes)) {
      expect(mebibytes(size.hotBytesMax)).toBeLessThanOrEqual(size.ingestMemoryMiB * 0.7);
    }
  });
});
