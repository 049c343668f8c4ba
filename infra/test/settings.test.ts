import { describe, expect, it } from 'vitest';
import { readSettings, type Settings, sizes } from '../settings.js';

const read = (context: Readonly<Record<string, unknown>>): Settings => readSettings((key) => context[key]);

describe('settings of a deployment', () => {
  it('has a default for everything', () => {
    expect(read({})).toMatchObject({ stage: 'dev', ingestTasks: 1, size: sizes['small'] });
  });

  it('refuses more than one ingest task and says why', () => {
    expect(() => read({ ingestTasks: '3' })).toThrow(
      /context "ingestTasks": got 3; want 1: .*a name and a log of its own/,
    );
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

  it('leaves memory beside the hot tier in every size', () => {
    const mebibytes = (text: string): number => Number.parseInt(text, 10) * (text.endsWith('GiB') ? 1024 : 1);
    for (const size of Object.values(sizes)) {
      expect(mebibytes(size.hotBytesMax)).toBeLessThanOrEqual(size.ingestMemoryMiB * 0.7);
    }
  });
});
