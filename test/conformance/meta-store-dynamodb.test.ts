import { afterAll, beforeAll } from 'vitest';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { DynamoDbMetaStore } from '../../core/adapters/meta-store-dynamodb.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { type Emulator, emulatorConnection, runName, serviceNames, startDynamoDb } from '../aws/emulators.js';
import { describeMetaStore } from './meta-store.js';

const tests = 40;
const tables = Array.from({ length: tests * 2 }, (_, index) => `${runName}-${index}`);

let emulator: Emulator;
beforeAll(async () => {
  emulator = await startDynamoDb(...tables);
});
afterAll(() => emulator.close());

let opened = 0;

function openStore(table: string, rangePageMax?: number): DynamoDbMetaStore {
  return new DynamoDbMetaStore({
    table,
    clock: new SystemClock(),
    random: new SystemRandom(),
    connection: emulatorConnection(emulator.endpoint),
    ...(rangePageMax === undefined ? {} : { rangePageMax }),
  });
}

for (const rangePageMax of [undefined, 2]) {
  const pages = rangePageMax === undefined ? '' : `, pages of ${rangePageMax} items`;
  describeMetaStore(`DynamoDB (${serviceNames.dynamoDb})${pages}`, async () => {
    const table = tables[opened++] ?? '';
    const stores = [openStore(table, rangePageMax)];
    return {
      store: stores[0] as DynamoDbMetaStore,
      reopen: async () => {
        const other = openStore(table, rangePageMax);
        stores.push(other);
        return other;
      },
      close: async () => {
        await Promise.all(stores.map((store) => store.close()));
      },
    };
  });
}
