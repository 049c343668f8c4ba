import { describe, expect, it } from 'vitest';
import { isClose, spreadOf } from '../../../bench/measure/statistics.js';
import type { Question } from '../../../bench/questions/question.js';
import { ratioOf, ratioText } from '../../../bench/report/ratio.js';
import { figureText, tableText } from '../../../bench/report/table.js';
import { checkAgreement, checkTotals } from '../../../bench/runs/agreement.js';
import type { Answerer, System } from '../../../bench/systems/system.js';
import { lineupOf } from '../../../bench/systems/systems.js';

describe('figures', () => {
  it('percentiles are values that were measured', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(spreadOf(hundred)).toEqual({ count: 100, min: 1, median: 50, p99: 99, max: 100 });
    expect(spreadOf([5])).toEqual({ count: 1, min: 5, median: 5, p99: 5, max: 5 });
    expect(() => spreadOf([])).toThrow('want at least one');
  });

  it('ratios are of the same rounds, and above 1 where Varve is ahead', () => {
    expect(ratioOf([3, 4, 6], [1, 2, 2], 'more')).toEqual({ min: 2, median: 3, max: 3 });
    expect(ratioOf([10, 20], [5, 40], 'less')).toEqual({ min: 0.5, median: 0.5, max: 2 });
    expect(ratioText(ratioOf([], [], 'less'))).toBe('–');
  });

  it('tables line up', () => {
    expect(
      tableText(
        ['', 'ms'],
        [
          ['lastpoint', figureText(4.236)],
          ['all', figureText(123.4)],
        ],
      ),
    ).toBe(
      ['|           |   ms |', '|-----------|-----:|', '| lastpoint | 4.24 |', '| all       |  123 |'].join(
        '\n',
      ),
    );
  });

  it('floats are close when only rounding differs', () => {
    expect(isClose(0.1 + 0.2, 0.3)).toBe(true);
    expect(isClose(1e12, 1e12 + 1)).toBe(true);
    expect(isClose(1000, 1000.1)).toBe(false);
    expect(isClose(Number.NaN, 1)).toBe(false);
  });
});

describe('agreement', () => {
  const totals = { table: 'cpu', field: 'usage_user', count: 3, sum: 6, min: 1, max: 3 };
  const question = {
    kind: 'last-points',
    shape: 'lastpoint',
    table: 'cpu',
    from: 0,
    to: 10,
  } as const satisfies Question;
  const answering = (name: Answerer['name'], value: number, canAsk = true): Answerer => ({
    name,
    canAsk: () => canAsk,
    cpuSeconds: () => 0,
    ask: async () => ({ bytes: 1, read: () => new Map([['host_0 usage_user', value]]) }),
    stop: async () => {},
  });

  it('is refused where a system lost or doubled a point', () => {
    expect(() => checkTotals('varve', [totals], [totals])).not.toThrow();
    expect(() => checkTotals('varve', [totals], [{ ...totals, count: 4 }])).toThrow(
      'varve: count of cpu.usage_user: got 4; want 3',
    );
    expect(() => checkTotals('varve', [totals], [])).toThrow('got undefined; want 3');
  });

  it('is refused where answers differ, and asks nobody what they cannot answer', async () => {
    await checkAgreement([answering('varve', 1), answering('influxdb', 1)], [question]);
    await checkAgreement([answering('varve', 1), answering('influxdb', 2, false)], [question]);
    await expect(
      checkAgreement([answering('varve', 1), answering('influxdb', 2)], [question]),
    ).rejects.toThrow('lastpoint: answers differ at host_0 usage_user: varve has 1, influxdb has 2');
  });
});

describe('the lineup', () => {
  const system = (name: System['name'], version: string | undefined): System => ({
    name,
    acknowledged: '',
    version: () => version,
    start: () => Promise.reject(new Error('not to be started')),
  });
  const known = [system('varve', '1'), system('influxdb', undefined), system('victoria-metrics', '2')];

  it('names and leaves out peers that are not installed', () => {
    const lineup = lineupOf('all', known);
    expect(lineup.servers.map(({ name }) => name)).toEqual(['varve', 'victoria-metrics']);
    expect(lineup.missing).toEqual(['influxdb']);
    expect(lineup.sortedParquet).toBe(true);
  });

  it('takes the named ones only and refuses strangers', () => {
    expect(lineupOf('varve', known)).toMatchObject({ missing: [], sortedParquet: false });
    expect(() => lineupOf('varve,oracle', known)).toThrow('got "oracle"');
  });
});
