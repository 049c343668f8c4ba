import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { MetaItem } from '../ports/meta-store.js';
import { VarveError } from '../std/errors.js';

/**
 * How an item of the MetaStore is kept in DynamoDB; docs/aws.md draws it. An item that was deleted stays for a while
 * as a tombstone without a value, so that its versions go on growing and a late retry of its creation is recognised.
 */

/** The primary key: the kind with its slash, which parts the table, and the whole key, which sorts within the part. */
export interface DynamoDbKey {
  readonly pk: { readonly S: string };
  readonly sk: { readonly S: string };
}

/** An item as it lies in the table. */
export interface StoredItem {
  readonly key: string;
  /** Undefined in a tombstone. */
  readonly value: string | undefined;
  readonly version: number;
  /** Nonces of the latest writes, the one of version v at v modulo the number of slots. */
  readonly nonces: readonly (string | undefined)[];
}

/** Latest writes that an item remembers. */
export const nonceSlots = 8;

/** Attributes of an item. */
export const itemAttributes = {
  value: 'value',
  version: 'version',
  /** Seconds since the epoch after which a tombstone may be removed; no other item has it. */
  expires: 'expires',
  nonce: (version: number): string => `w${version % nonceSlots}`,
} as const;

/** The part of the table that a key or a prefix of keys belongs to: its first segment with the slash. */
export function partitionOf(keyOrPrefix: string): string {
  const slash = keyOrPrefix.indexOf('/');
  return slash === -1 ? keyOrPrefix : keyOrPrefix.slice(0, slash + 1);
}

/** The primary key of an item. */
export function dynamoDbKey(key: string): DynamoDbKey {
  return { pk: { S: partitionOf(key) }, sk: { S: key } };
}

/** Reads what the table gave. Errors: `corrupt` for an item that this adapter did not write. */
export function readStoredItem(attributes: Readonly<Record<string, AttributeValue>>): StoredItem {
  const key = attributes['sk']?.S;
  const version = Number(attributes[itemAttributes.version]?.N);
  if (key === undefined || !Number.isSafeInteger(version) || version < 1) {
    throw new VarveError(
      'corrupt',
      `meta store item ${key ?? JSON.stringify(attributes['pk'])}: got version ${attributes[itemAttributes.version]?.N}; want a whole number from 1 up`,
    );
  }
  return {
    key,
    value: attributes[itemAttributes.value]?.S,
    version,
    nonces: Array.from({ length: nonceSlots }, (_, slot) => attributes[`w${slot}`]?.S),
  };
}

/** The item as the port gives it; undefined for a tombstone. */
export function metaItemOf(stored: StoredItem | undefined): MetaItem | undefined {
  if (stored?.value === undefined) return undefined;
  return { key: stored.key, value: stored.value, version: stored.version };
}

/**
 * Whether the write of `version` under `nonce` is in the item's past. `unknown` when that lies further back than the
 * item remembers, or the item is gone.
 */
export function hasApplied(
  stored: StoredItem | undefined,
  version: number,
  nonce: string,
): 'yes' | 'no' | 'unknown' {
  if (stored === undefined) return 'unknown';
  if (stored.version < version) return 'no';
  if (stored.version - version >= nonceSlots) return 'unknown';
  return stored.nonces[version % nonceSlots] === nonce ? 'yes' : 'no';
}
