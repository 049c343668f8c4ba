import {
  CreateTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type TableDescription,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import type { Clock } from '../ports/clock.js';
import { VarveError } from '../std/errors.js';
import { itemAttributes } from './meta-store-dynamodb-item.js';

export interface CreateMetaTableOptions {
  readonly client: DynamoDBClient;
  readonly table: string;
  readonly clock: Clock;
  readonly deletionProtection?: boolean;
}

const pollMs = 500;
const pollsMax = 240;

/** What is wrong with a table's key; undefined when it is the one that the meta store needs. */
export function keySchemaDefect(table: TableDescription | undefined): string | undefined {
  const got = (table?.KeySchema ?? []).map(({ AttributeName, KeyType }) => {
    const type = table?.AttributeDefinitions?.find((each) => each.AttributeName === AttributeName);
    return `${KeyType} ${AttributeName} (${type?.AttributeType})`;
  });
  const wanted = ['HASH pk (S)', 'RANGE sk (S)'];
  if (got.join() === wanted.join()) return undefined;
  return `got the key ${got.join(', ')}; want ${wanted.join(', ')}`;
}

/**
 * Makes the table of a meta store, billed by request, unless it is there, and resolves when it can be used. For set-up
 * scripts and tests; `timeToLive: false` says that the service (an emulator) does not remove tombstones by itself.
 * Errors: those of the SDK; `invalid` for a table of that name with another key.
 */
export async function createMetaTable(
  options: CreateMetaTableOptions,
): Promise<{ readonly timeToLive: boolean }> {
  const { client, table, deletionProtection } = options;
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        ...(deletionProtection === undefined ? {} : { DeletionProtectionEnabled: deletionProtection }),
      }),
    );
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ResourceInUseException') throw error;
  }
  await untilActive(options);
  return { timeToLive: await removeTombstones(client, table) };
}

async function untilActive({ client, table, clock }: CreateMetaTableOptions): Promise<void> {
  for (let poll = 1; poll <= pollsMax; poll++) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: table }));
    const defect = keySchemaDefect(Table);
    if (defect !== undefined) throw new VarveError('invalid', `DynamoDB table ${table}: ${defect}`);
    if (Table?.TableStatus === 'ACTIVE') return;
    await clock.sleep(pollMs);
  }
  throw new VarveError(
    'unavailable',
    `DynamoDB table ${table}: not active after ${(pollsMax * pollMs) / 1000} s; look at it in the console`,
  );
}

/** Lets DynamoDB remove tombstones once they are old; false where the service cannot. */
async function removeTombstones(client: DynamoDBClient, table: string): Promise<boolean> {
  try {
    await client.send(
      new UpdateTimeToLiveCommand({
        TableName: table,
        TimeToLiveSpecification: { AttributeName: itemAttributes.expires, Enabled: true },
      }),
    );
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.name === 'UnknownOperationException') return false;
    if (error.name === 'ValidationException' && error.message.includes('already enabled')) return true;
    throw error;
  }
}
