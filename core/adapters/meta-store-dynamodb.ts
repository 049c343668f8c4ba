import {
  type AttributeValue,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Clock } from '../ports/clock.js';
import type { MetaDeleteResult, MetaItem, MetaPutResult, MetaStore } from '../ports/meta-store.js';
import type { Random } from '../ports/random.js';
import { isVarveError, VarveError } from '../std/errors.js';
import {
  type AwsConnection,
  attemptMiddleware,
  attemptPlace,
  clientSettings,
  requestOptions,
} from './aws-client.js';
import { type AwsResource, attemptsOf, awsFailure, awsFaultOf, mayHaveApplied } from './aws-errors.js';
import { checkMetaKey, checkMetaPrefix, checkMetaValue } from './meta-key.js';
import {
  dynamoDbKey,
  hasApplied,
  itemAttributes,
  metaItemOf,
  partitionOf,
  readStoredItem,
  type StoredItem,
} from './meta-store-dynamodb-item.js';
import { keySchemaDefect } from './meta-store-dynamodb-table.js';

export interface DynamoDbMetaStoreOptions {
  readonly table: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly connection?: AwsConnection;
  /** Told of the capacity units that a request took: what is billed. */
  readonly onUnits?: (kind: 'read' | 'write', units: number) => void;
  /** Items a page of a range; default as many as fit 1 MB. */
  readonly rangePageMax?: number;
}

const bounds = {
  attemptsMax: 8,
  connectMsMax: 2_000,
  answerMsMax: 5_000,
  silenceMsMax: 5_000,
  connectionsMax: 64,
};
const nonceBytes = 12;
/** Far longer than any retry of a write can be under way. */
const tombstoneSeconds = 24 * 3600;
/** Times that a create follows a tombstone that others move. */
const createAttemptsMax = 8;

/** Reads `dynamodb://table`. Errors: `invalid` with the form wanted. */
export function parseDynamoDbTable(url: string): string {
  const table = /^dynamodb:\/\/([A-Za-z0-9_.-]{3,255})\/?$/.exec(url)?.[1];
  if (table !== undefined) return table;
  throw new VarveError(
    'invalid',
    `got the meta store "${url}"; want dynamodb://table, the table of 3 to 255 of A-Z a-z 0-9 _ . -`,
  );
}

type WriteResult = { readonly kind: 'applied'; readonly version: number } | { readonly kind: 'conflict' };

/**
 * Items in one DynamoDB table. Every write is one conditional update, which leaves a nonce in the item; a write whose
 * outcome is in doubt, because a try of it may have applied, looks for its nonce before it says conflict or fails.
 */
export class DynamoDbMetaStore implements MetaStore {
  readonly #client: DynamoDBClient;
  readonly #options: DynamoDbMetaStoreOptions;
  readonly #resource: AwsResource;
  readonly #underWay = new Set<Promise<unknown>>();
  #schemaIsRight = false;
  #closed = false;

  constructor(options: DynamoDbMetaStoreOptions) {
    const { connection = {} } = options;
    this.#options = options;
    this.#client = new DynamoDBClient(clientSettings(connection, bounds));
    if (connection.onAttempt !== undefined)
      this.#client.middlewareStack.add(attemptMiddleware(connection.onAttempt), attemptPlace);
    this.#resource = {
      service: 'DynamoDB',
      name: `table ${options.table}`,
      missingRemedy: 'make the table as docs/aws.md says or name another with --meta-store',
    };
  }

  get(key: string, signal?: AbortSignal): Promise<MetaItem | undefined> {
    return this.#guard(`get ${key}`, signal, async () => {
      checkMetaKey(key);
      return metaItemOf(await this.#read(key, signal));
    });
  }

  range(prefix: string, signal?: AbortSignal): Promise<readonly MetaItem[]> {
    return this.#guard(`range ${prefix}`, signal, async () => {
      checkMetaPrefix(prefix);
      const found: MetaItem[] = [];
      let start: Record<string, AttributeValue> | undefined;
      do {
        const page = await this.#client.send(
          new QueryCommand({
            TableName: this.#options.table,
            KeyConditionExpression: 'pk = :pk AND begins_with(sk, :prefix)',
            ExpressionAttributeValues: { ':pk': { S: partitionOf(prefix) }, ':prefix': { S: prefix } },
            ConsistentRead: true,
            ReturnConsumedCapacity: 'TOTAL',
            ...(start === undefined ? {} : { ExclusiveStartKey: start }),
            ...(this.#options.rangePageMax === undefined ? {} : { Limit: this.#options.rangePageMax }),
          }),
          requestOptions(signal),
        );
        this.#count('read', page.ConsumedCapacity);
        for (const attributes of page.Items ?? []) {
          const item = metaItemOf(readStoredItem(attributes));
          if (item !== undefined) found.push(item);
        }
        start = page.LastEvaluatedKey;
      } while (start !== undefined);
      return found;
    });
  }

  put(
    key: string,
    value: string,
    expectedVersion: number | null,
    signal?: AbortSignal,
  ): Promise<MetaPutResult> {
    return this.#guard(`put ${key}`, signal, async () => {
      checkMetaKey(key);
      checkMetaValue(key, value);
      return expectedVersion === null
        ? this.#create(key, value, signal)
        : this.#write({ key, value, from: expectedVersion, isRevival: false, nonce: this.#nonce() }, signal);
    });
  }

  delete(key: string, expectedVersion: number, signal?: AbortSignal): Promise<MetaDeleteResult> {
    return this.#guard(`delete ${key}`, signal, async () => {
      checkMetaKey(key);
      const write = { key, value: null, from: expectedVersion, isRevival: false, nonce: this.#nonce() };
      const { kind } = await this.#write(write, signal);
      return { kind };
    });
  }

  /** Asks for the table's key schema once, and reads from it each time. */
  check(signal?: AbortSignal): Promise<void> {
    return this.#guard('check', signal, async () => {
      if (!this.#schemaIsRight) {
        const { table } = this.#options;
        const described = await this.#client.send(
          new DescribeTableCommand({ TableName: table }),
          requestOptions(signal),
        );
        const defect = keySchemaDefect(described.Table);
        if (defect !== undefined)
          throw new VarveError(
            'unavailable',
            `DynamoDB table ${table}: ${defect}; make it as docs/aws.md says`,
          );
        this.#schemaIsRight = true;
      }
      await this.#read('check/', signal);
    });
  }

  /** Waits for calls under way; every later call fails with `unavailable`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    this.#client.destroy();
  }

  /** Creates an item where there is none, or only the tombstone of one. */
  async #create(key: string, value: string, signal: AbortSignal | undefined): Promise<WriteResult> {
    const nonce = this.#nonce();
    let from: number | null = null;
    for (let attempt = 1; attempt <= createAttemptsMax; attempt++) {
      const result = await this.#write({ key, value, from, isRevival: from !== null, nonce }, signal);
      if (result.kind === 'applied') return result;
      const found = await this.#read(key, signal);
      if (found?.value !== undefined) return { kind: 'conflict' };
      from = found?.version ?? null;
    }
    throw new VarveError(
      'unavailable',
      `put ${key}: others made and deleted the item ${createAttemptsMax} times meanwhile; want a quieter moment`,
      { retryAfterSeconds: 1 },
    );
  }

  /** One conditional update from the version `from` (null: from nothing) to the next. */
  async #write(write: Write, signal: AbortSignal | undefined): Promise<WriteResult> {
    const version = (write.from ?? 0) + 1;
    try {
      const answer = await this.#client.send(
        new UpdateItemCommand({
          TableName: this.#options.table,
          ...updateOf(write, version, this.#options.clock.nowMs()),
          ReturnConsumedCapacity: 'TOTAL',
        }),
        requestOptions(signal),
      );
      this.#count('write', answer.ConsumedCapacity);
      return { kind: 'applied', version };
    } catch (error) {
      signal?.throwIfAborted();
      return this.#settle(write, version, error, signal);
    }
  }

  /** The outcome of a write that met an error: an earlier try of it, or this one, may have applied all the same. */
  async #settle(
    write: Write,
    version: number,
    error: unknown,
    signal: AbortSignal | undefined,
  ): Promise<WriteResult> {
    const refused = error instanceof Error && error.name === 'ConditionalCheckFailedException';
    if (refused && attemptsOf(error) === 1) return { kind: 'conflict' };
    if (!refused && !mayHaveApplied(awsFaultOf(error))) throw error;
    const found = await this.#read(write.key, signal).catch((unread: unknown) => {
      throw refused ? unread : error;
    });
    const applied = hasApplied(found, version, write.nonce);
    if (applied === 'yes') return { kind: 'applied', version };
    if (!refused) throw error;
    if (applied === 'no') return { kind: 'conflict' };
    throw new VarveError(
      'unavailable',
      `write ${write.key}: a try was left without an answer and the item has moved on to version ${found?.version ?? 'none'}; want to know whether version ${version} was ours`,
      { retryAfterSeconds: 1 },
    );
  }

  async #read(key: string, signal: AbortSignal | undefined): Promise<StoredItem | undefined> {
    const answer = await this.#client.send(
      new GetItemCommand({
        TableName: this.#options.table,
        Key: { ...dynamoDbKey(key) },
        ConsistentRead: true,
        ReturnConsumedCapacity: 'TOTAL',
      }),
      requestOptions(signal),
    );
    this.#count('read', answer.ConsumedCapacity);
    return answer.Item === undefined ? undefined : readStoredItem(answer.Item);
  }

  #nonce(): string {
    return Buffer.from(this.#options.random.bytes(nonceBytes)).toString('base64url');
  }

  #count(
    kind: 'read' | 'write',
    consumed: { readonly CapacityUnits?: number | undefined } | undefined,
  ): void {
    this.#options.onUnits?.(kind, consumed?.CapacityUnits ?? 0);
  }

  /** Gives failures their kind; an aborted call fails with its signal's reason. */
  async #guard<T>(doing: string, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    const { table } = this.#options;
    if (this.#closed)
      throw new VarveError('unavailable', `${doing}: the meta store on DynamoDB table ${table} is closed`);
    signal?.throwIfAborted();
    const work = action();
    this.#underWay.add(work);
    try {
      return await work;
    } catch (error) {
      if (isVarveError(error)) throw error;
      signal?.throwIfAborted();
      throw awsFailure(doing, this.#resource, error);
    } finally {
      this.#underWay.delete(work);
    }
  }
}

/** A write to be made. */
interface Write {
  readonly key: string;
  /** Null to delete. */
  readonly value: string | null;
  /** The version it takes the place of, a tombstone's when an item is made again; null for an item that never was. */
  readonly from: number | null;
  /** True when what it takes the place of is a tombstone. */
  readonly isRevival: boolean;
  readonly nonce: string;
}

function updateOf(write: Write, version: number, nowMs: number) {
  const { key, value, from, isRevival, nonce } = write;
  const names = {
    '#value': itemAttributes.value,
    '#version': itemAttributes.version,
    '#nonce': itemAttributes.nonce(version),
    '#expires': itemAttributes.expires,
  };
  const values: Record<string, AttributeValue> = { ':next': { N: `${version}` }, ':nonce': { S: nonce } };
  if (from !== null) values[':from'] = { N: `${from}` };
  if (value === null) values[':expires'] = { N: `${Math.floor(nowMs / 1000) + tombstoneSeconds}` };
  else values[':value'] = { S: value };
  const set = '#version = :next, #nonce = :nonce';
  return {
    Key: { ...dynamoDbKey(key) },
    ConditionExpression:
      from === null
        ? 'attribute_not_exists(#version)'
        : `#version = :from AND ${isRevival ? 'attribute_not_exists' : 'attribute_exists'}(#value)`,
    UpdateExpression:
      value === null
        ? `SET ${set}, #expires = :expires REMOVE #value`
        : `SET ${set}, #value = :value REMOVE #expires`,
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
  };
}
