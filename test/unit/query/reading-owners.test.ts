import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GroupId } from '../../../core/model/batch.js';
import type { HotReadOptions } from '../../../core/ports/hot-reader.js';
import { VarveError } from '../../../core/std/errors.js';
import { incompleteText } from '../../../query/http/query-routes.js';
import type { MissingPart, QueryAnswer, QueryRequest } from '../../../query/query-request.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const second = 1_000_000_000n;
const startNs = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;

let warehouse: Warehouse;
let service: QueryService;
let late: GroupId;

beforeEach(async () => {
  warehouse = new Warehouse();
  service = await warehouse.open();
  warehouse.addTable(schemaOf('m', ['host'], { v: 'double' }));
  late = warehouse.addGroup({ kind: 'late' });
});
afterEach(() => warehouse.close());

const point = (at: bigint, v: number) => ({
  timeNs: startNs + at * second,
  tags: { host: 'a' },
  fields: { v },
});

async function answerOf(request: QueryRequest): Promise<QueryAnswer> {
  const answer = await service.query(request);
  if (answer.kind === 'answer') for await (const _ of answer.body);
  return answer;
}

describe('what happens between plan and scan', () => {
  test('a late point for a settled one, which the plan did not know of, is not shown beside it', async () => {
    await warehouse.seal('m', [point(30n, 1)], { sequence: 1 });
    warehouse.write('m', late, [point(10n, 2)]);
    const { scan } = warehouse.hot;
    let isFirst = true;
    warehouse.hot.scan = async function* (request, signal) {
      if (isFirst) warehouse.write('m', late, [point(30n, 3)]);
      isFirst = false;
      yield* scan.call(warehouse.hot, request, signal);
    };
    expect(await rowsOf(service, 'select v from m order by time')).toEqual([{ v: 2 }, { v: 1 }]);
    expect(await rowsOf(service, 'select v from m order by time')).toEqual([{ v: 2 }, { v: 3 }]);
  });

  test('a scan that breaks off in its midst is planned again, and its rows come once', async () => {
    warehouse.write('m', late, [point(1n, 1), point(2n, 2)]);
    const { scan } = warehouse.hot;
    let scans = 0;
    warehouse.hot.scan = async function* (request, signal) {
      const isBroken = ++scans === 1;
      for await (const piece of scan.call(warehouse.hot, request, signal)) {
        yield piece;
        if (isBroken) throw new VarveError('unavailable', 'node n1: the connection ended');
      }
    };
    expect(await rowsOf(service, 'select v from m order by time')).toEqual([{ v: 1 }, { v: 2 }]);
    expect(scans).toBe(2);
  });

  test('a scan that always breaks off fails the query', async () => {
    warehouse.write('m', late, [point(1n, 1)]);
    warehouse.hot.scan = async function* () {
      yield* [];
      throw new VarveError('unavailable', 'node n1: the connection ended');
    };
    await expect(service.query(asked('select v from m'))).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'node n1: the connection ended',
    });
  });
});

describe('consistency of a read', () => {
  test('goes down to the hot tier; quorum where nothing is said', async () => {
    const reads: (HotReadOptions | undefined)[] = [];
    const { describe: describeHot } = warehouse.hot;
    warehouse.hot.describe = (request) => {
      reads.push(request.read);
      return describeHot.call(warehouse.hot, request);
    };
    await answerOf(asked('select * from m'));
    await answerOf(asked('select * from m', { consistency: 'one', allowPartial: true }));
    expect(reads).toEqual([
      { consistency: 'quorum' },
      { consistency: 'one', onIncomplete: expect.any(Function) },
    ]);
  });

  test('an answer that lacks a shard tells it and has no tag, though all that it has is settled', async () => {
    await warehouse.seal('m', [point(1n, 1)], { sequence: 1 });
    warehouse.settledThroughNs = startNs + 100n * second;
    const sql = "select v from m where time < '2016-01-01T00:01:00Z'";
    const whole = await answerOf(asked(sql, { allowPartial: true }));
    expect(whole.facts).toMatchObject({ tiers: 'settled', incomplete: [] });
    expect(whole.facts.etag).not.toBeNull();

    warehouse.hot.describe = async (request) => {
      request.read?.onIncomplete?.({ group: late, shard: 1, reason: 'node n1: no answer' });
      return [];
    };
    const part = await answerOf(asked(sql, { allowPartial: true, ifNoneMatch: whole.facts.etag }));
    expect(part).toMatchObject({
      kind: 'answer',
      facts: {
        tiers: 'settled,hot',
        etag: null,
        incomplete: [{ table: 'm', group: late, shard: 1, reason: 'node n1: no answer' }],
      },
    });
  });
});

test('the header names each shard once, and stays short', () => {
  const part = (group: string, shard: number, table = 'm') => ({
    ...{ table, group: group as GroupId, shard, reason: 'r' },
  });
  const textOf = (incomplete: readonly MissingPart[]) =>
    incompleteText({ incomplete, areConflictsCut: false });
  expect(textOf([part('l1', 0), part('l1', 2), part('l1', 0, 'other')])).toBe('l1/0, l1/2');
  const many = Array.from({ length: 500 }, (_, shard) => part('l000000000001', shard));
  const text = textOf(many);
  expect(text.length).toBeLessThan(1100);
  expect(text).toMatch(/^l000000000001\/0, .*, l000000000001\/\d+ and \d+ more$/);
  const [shown = 0, more = 0] = [text.split(', ').length, Number(/ and (\d+) more$/.exec(text)?.[1])];
  expect(shown + more).toBe(500);
});
