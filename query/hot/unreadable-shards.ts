import type { GroupId, NodeId } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { OwnerFailure } from './hedged-call.js';

/** A shard that cannot be read, with what its owners said. */
export interface UnreadableShard {
  readonly shard: number;
  readonly owners: readonly NodeId[];
  readonly failures: readonly OwnerFailure[];
}

/** What was read, for messages. */
export interface ReadSubject {
  readonly group: GroupId;
  /** The table that was read; null where all of them were. */
  readonly table: string | null;
  readonly consistency: 'one' | 'quorum';
}

/** Why a shard cannot be read, naming its owners and what each of them said. */
export function unreadableReason(
  { owners, failures }: UnreadableShard,
  consistency: 'one' | 'quorum',
): string {
  if (owners.length === 0) return 'no owner is known';
  const needed = consistency === 'one' ? 1 : quorumOf(owners.length);
  const names = owners.join(', ');
  const who =
    owners.length === 1 ? `its owner is node ${names}` : `it needs ${needed} of its owners ${names}`;
  const said = failures.map(({ owner, error }) => `node ${owner}: ${errorMessage(error)}`);
  return [who, ...said].join('; ');
}

/** The error for shards that cannot be read, of which there is one at least: `unavailable`, or the only owner's own defect. */
export function unreadableError(subject: ReadSubject, shards: readonly UnreadableShard[]): unknown {
  const { group, table, consistency } = subject;
  const errors = shards.flatMap(({ failures }) => failures.map(({ error }) => error));
  const unavailable = errors.find((error) => isVarveError(error, 'unavailable'));
  if (errors.length > 0 && unavailable === undefined) return errors[0];
  const reasons = shards.map((each) => unreadableReason(each, consistency));
  const alike = shards.filter((_, index) => reasons[index] === reasons[0]);
  const numbers = alike.map(({ shard }) => shard).join(', ');
  const others = shards.length - alike.length;
  const what = `${alike.length === 1 ? 'shard' : 'shards'} ${numbers} of group ${group}`;
  const holding = table === null ? '' : `, which may hold rows of table "${table}",`;
  const rest = others === 0 ? '' : `; nor can ${others} other ${others === 1 ? 'shard' : 'shards'} of it`;
  const retryAfterSeconds = isVarveError(unavailable) ? (unavailable.retryAfterSeconds ?? 1) : 1;
  return new VarveError('unavailable', `query: ${what}${holding} cannot be read: ${reasons[0]}${rest}`, {
    retryAfterSeconds,
    ...(unavailable === undefined ? {} : { cause: unavailable }),
  });
}
