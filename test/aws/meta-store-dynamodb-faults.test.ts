import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AwsConnection } from '../../core/adapters/aws-client.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { DynamoDbMetaStore, parseDynamoDbTable } from '../../core/adapters/meta-store-dynamodb.js';
import { nonceSlots } from '../../core/adapters/meta-store-dynamodb-item.js';
import { createMetaTable } from '../../core/adapters/meta-store-dynamodb-table.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { isVarveError } from '../../core/std/errors.js';
import { type Emulator, emulatorConnection, promptRetries, runName, startDynamoDb } from './emulators.js';
import { awsAnswers, type FaultProxy, type HttpFault, inOrder, startFaultProxy } from './fault-proxy.js';

let service: Emulator;
let proxy: FaultProxy;
/** Through the proxy. */
let store: DynamoDbMetaStore;
/** Past the proxy: another process, which nothing befalls. */
let other: DynamoDbMetaStore;
let tables = 0;
let table: string;

function openStore(endpoint: string, more: Partial<AwsConnection> = {}): DynamoDbMetaStore {
  return new DynamoDbMetaStore({
    table,
    clock: new SystemClock(),
    random: new SystemRandom(),
    connection: emulatorConnection(endpoint, {
      answerMsMax: 500,
      retryStrategy: promptRetries(8),
      ...more,
    }),
  });
}

function setUpClient(): DynamoDBClient {
  return new DynamoDBClient(emulatorConnection(service.endpoint));
}

beforeAll(async () => {
  service = await startDynamoDb();
});
afterAll(() => service.close());

beforeEach(async () => {
  table = `${runName}-${tables++}`;
  const client = setUpClient();
  await createMetaTable({ client, table, clock: new SystemClock() });
  client.destroy();
  proxy = await startFaultProxy(service);
  store = openStore(proxy.endpoint);
  other = openStore(service.endpoint);
});
afterEach(async () => {
  await proxy.close();
  await Promise.all([store.close(), other.close()]);
});

const isWrite = ({ operation }: { readonly operation: string }): boolean => operation === 'UpdateItem';
const failed = awsAnswers.dynamoDb('InternalServerError', 500);
const throttled = awsAnswers.dynamoDb('ProvisionedThroughputExceededException');
const lostAnswers = { 'a reset': 'reset', silence: 'silence', 'a 500': failed } as const;

describe.each(Object.entries(lostAnswers))('a write that applied and was answered by %s', (_, by) => {
  const lost = (meanwhile?: () => Promise<void>): void => {
    proxy.fault = inOrder(isWrite, [
      { kind: 'answer-lost', by, ...(meanwhile === undefined ? {} : { meanwhile }) },
    ]);
  };

  it('is known as our own when it is a creation', async () => {
    lost();
    expect(await store.put('k/a', 'one', null)).toEqual({ kind: 'applied', version: 1 });
    expect(await other.get('k/a')).toEqual({ key: 'k/a', value: 'one', version: 1 });
  });

  it('is known as our own when it is a replacement', async () => {
    await store.put('k/a', 'one', null);
    lost();
    expect(await store.put('k/a', 'two', 1)).toEqual({ kind: 'applied', version: 2 });
    expect(await store.put('k/a', 'three', 2)).toEqual({ kind: 'applied', version: 3 });
  });

  it('is known as our own when it is a deletion', async () => {
    await store.put('k/a', 'one', null);
    lost();
    expect(await store.delete('k/a', 1)).toEqual({ kind: 'applied' });
    expect(await other.get('k/a')).toBeUndefined();
  });

  it('is known as our own although another has replaced it since', async () => {
    await store.put('k/a', 'one', null);
    lost(async () => {
      for (let version = 2; version <= nonceSlots; version++) await other.put('k/a', 'theirs', version);
    });
    expect(await store.put('k/a', 'two', 1)).toEqual({ kind: 'applied', version: 2 });
    expect(await other.get('k/a')).toMatchObject({ value: 'theirs', version: nonceSlots + 1 });
  });

  it('does not bring back what another has deleted since', async () => {
    lost(async () => {
      await other.delete('k/a', 1);
    });
    expect(await store.put('k/a', 'one', null)).toEqual({ kind: 'applied', version: 1 });
    expect(await other.get('k/a')).toBeUndefined();
    expect(await other.range('k/')).toEqual([]);
  });

  it('is in doubt, never a conflict, when too many others wrote since', async () => {
    await store.put('k/a', 'one', null);
    lost(async () => {
      for (let version = 2; version <= nonceSlots + 2; version++) await other.put('k/a', 'theirs', version);
    });
    await expect(store.put('k/a', 'two', 1)).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('DynamoDB meta store under faults', () => {
  it('tells of a conflict when another came first between two tries', async () => {
    await store.put('k/a', 'one', null);
    const meanwhile = async (): Promise<void> => {
      await other.put('k/a', 'theirs', 1);
    };
    proxy.fault = inOrder(isWrite, [{ kind: 'refused', by: failed, meanwhile }]);
    expect(await store.put('k/a', 'ours', 1)).toEqual({ kind: 'conflict' });
    expect(await store.get('k/a')).toMatchObject({ value: 'theirs', version: 2 });
  });

  it('applies nothing when a try that was held up arrives after all', async () => {
    await store.put('k/a', 'one', null);
    let letGo = (): void => {};
    const until = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const arrived = new Promise<void>((done) => {
      proxy.fault = inOrder(isWrite, [{ kind: 'delayed', until, done }]);
    });
    expect(await store.put('k/a', 'two', 1)).toEqual({ kind: 'applied', version: 2 });
    expect(await other.put('k/a', 'three', 2)).toEqual({ kind: 'applied', version: 3 });
    letGo();
    await arrived;
    expect(await other.get('k/a')).toMatchObject({ value: 'three', version: 3 });
  });

  it('finds out that a write has applied although none of its tries was answered', async () => {
    proxy.fault = inOrder(isWrite, Array<HttpFault>(8).fill({ kind: 'answer-lost', by: 'reset' }));
    expect(await store.put('k/a', 'one', null)).toEqual({ kind: 'applied', version: 1 });
  });

  it('is unavailable while nothing answers, and works again afterwards', async () => {
    proxy.fault = () => ({ kind: 'refused', by: 'reset' });
    await expect(store.put('k/a', 'one', null)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.get('k/a')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.range('k/')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.check()).rejects.toThrow(/no answer; check the network and AWS_ENDPOINT_URL/);
    proxy.fault = () => undefined;
    expect(await store.put('k/a', 'one', null)).toEqual({ kind: 'applied', version: 1 });
  });

  it('waits out throttling, and says so when it lasts', async () => {
    const twice: HttpFault = { kind: 'refused', by: throttled };
    proxy.fault = inOrder(() => true, [twice, twice]);
    expect(await store.put('k/a', 'one', null)).toEqual({ kind: 'applied', version: 1 });
    proxy.fault = () => twice;
    await expect(store.put('k/a', 'two', 1)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('slow down'),
      retryAfterSeconds: 2,
    });
  });

  it('reads again what broke off', async () => {
    for (let index = 0; index < 20; index++) await other.put(`k/${index}`, 'x'.repeat(1000), null);
    const cut: HttpFault = { kind: 'cut', afterBytes: 3000 };
    proxy.fault = inOrder(({ operation }) => operation === 'Query', [cut, cut]);
    expect(await store.range('k/')).toHaveLength(20);
    proxy.fault = inOrder(({ operation }) => operation === 'GetItem', [{ kind: 'cut', afterBytes: 100 }]);
    expect(await store.get('k/7')).toMatchObject({ value: 'x'.repeat(1000) });
  });

  it('reads a range to its end past the 1 MB that a page holds', async () => {
    const value = 'x'.repeat(300_000);
    for (let index = 0; index < 8; index++) await other.put(`k/${index}`, value, null);
    const items = await store.range('k/');
    expect(items.map((item) => item.key)).toEqual(Array.from({ length: 8 }, (_, index) => `k/${index}`));
    expect(items.every((item) => item.value === value)).toBe(true);
    expect(proxy.requests.filter(({ operation }) => operation === 'Query').length).toBeGreaterThan(1);
    expect(proxy.requests.map(({ operation }) => operation)).not.toContain('Scan');
  });

  it('uses one connection for calls that follow one another', async () => {
    for (let index = 0; index < 20; index++) await store.put(`k/${index}`, 'x', null);
    expect(proxy.connections()).toBe(1);
  });

  it('gives up with the signal of its caller while no answer comes', async () => {
    const abort = new AbortController();
    proxy.fault = () => {
      abort.abort(new Error('gave up'));
      return { kind: 'refused', by: 'silence' };
    };
    await expect(store.put('k/a', 'one', null, abort.signal)).rejects.toThrow('gave up');
  });

  it.each([1, 2, 3, 4])(
    'loses and doubles no increment among writers under random faults (seed %d)',
    async (seed) => {
      const random = new SeededRandom(seed);
      proxy.fault = () => {
        const draw = random.next();
        if (draw < 0.1) return { kind: 'answer-lost', by: 'reset' };
        if (draw < 0.2) return { kind: 'answer-lost', by: failed };
        if (draw < 0.3) return { kind: 'refused', by: throttled };
        if (draw < 0.4) return { kind: 'cut', afterBytes: Math.floor(random.next() * 60) };
        return undefined;
      };
      await other.put('n/n', '0', null);
      let applied = 0;
      let doubtful = 0;
      const increment = async (): Promise<void> => {
        const item = await store.get('n/n').catch(() => undefined);
        if (item === undefined) return;
        try {
          const result = await store.put('n/n', `${Number(item.value) + 1}`, item.version);
          if (result.kind === 'applied') applied++;
        } catch (error) {
          if (!isVarveError(error, 'unavailable')) throw error;
          doubtful++;
        }
      };
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          for (let round = 0; round < 15; round++) await increment();
        }),
      );
      const value = Number((await other.get('n/n'))?.value);
      expect(applied).toBeGreaterThan(0);
      expect(value).toBeGreaterThanOrEqual(applied);
      expect(value).toBeLessThanOrEqual(applied + doubtful);
    },
  );
});

describe('DynamoDB meta store that is not set up', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['AccessDeniedException', /access is denied; give this role the permissions that docs\/aws\.md lists/],
    ['ExpiredTokenException', /credentials are missing, wrong or expired/],
    ['UnrecognizedClientException', /credentials are missing, wrong or expired/],
    ['ResourceNotFoundException', /does not exist; make the table/],
  ];
  it.each(refusals)('says what to do about %s', async (type, message) => {
    proxy.fault = () => ({ kind: 'refused', by: awsAnswers.dynamoDb(type) });
    const named = { kind: 'unavailable', message: expect.stringContaining(`DynamoDB table ${table}`) };
    await expect(store.check()).rejects.toMatchObject(named);
    await expect(store.check()).rejects.toThrow(message);
    await expect(store.put('k/a', 'x', null)).rejects.toThrow(message);
  });

  it('names a missing table', async () => {
    const missing = new DynamoDbMetaStore({
      table: 'not-there',
      clock: new SystemClock(),
      random: new SystemRandom(),
      connection: emulatorConnection(service.endpoint),
    });
    await expect(missing.check()).rejects.toThrow(/table not-there: it does not exist; make the table/);
    await missing.close();
  });

  it('refuses a table with another key', async () => {
    const client = setUpClient();
    await client.send(
      new CreateTableCommand({
        TableName: `${table}-other`,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    const make = createMetaTable({ client, table: `${table}-other`, clock: new SystemClock() });
    await expect(make).rejects.toThrow(/got the key HASH id \(S\); want HASH pk \(S\), RANGE sk \(S\)/);
    client.destroy();
  });

  it('makes its table again without harm', async () => {
    await store.put('k/a', 'one', null);
    const client = setUpClient();
    await createMetaTable({ client, table, clock: new SystemClock() });
    client.destroy();
    expect(await store.get('k/a')).toMatchObject({ value: 'one' });
  });

  it('reads its table from a URL', () => {
    expect(parseDynamoDbTable('dynamodb://varve-meta.1')).toBe('varve-meta.1');
    for (const url of ['dynamodb://', 'dynamodb://a', 'dynamodb://a b c', 'dynamodb:table', 'lmdb:x'])
      expect(() => parseDynamoDbTable(url)).toThrow('want dynamodb://table');
  });
});
