import type { GroupId } from '../core/model/batch.js';
import type { ResultFormat, SqlParameters } from './engine/query-engine.js';

/** A question, as the routes hand it over. */
export interface QueryRequest {
  readonly database: string;
  readonly sql: string;
  readonly parameters: SqlParameters;
  readonly format: ResultFormat;
  /** `settled` reads nothing that is in flux. */
  readonly tier: 'all' | 'settled';
  /** A `varve-snapshot` that an earlier answer gave: exactly those snapshots, nothing in flux. */
  readonly snapshot: string | null;
  /** How much of what is in flux the answer is sure to have (default quorum); without effect on what has one owner. */
  readonly consistency?: 'one' | 'quorum';
  /** Shards that cannot be read fail the query (default), or are left out, and told in AnswerFacts.incomplete. */
  readonly allowPartial?: boolean;
  /** The header If-None-Match as it came. */
  readonly ifNoneMatch: string | null;
}

/** What the headers of an answer tell. */
export interface AnswerFacts {
  readonly settledThroughNs: bigint;
  readonly snapshot: string;
  readonly historyRoot: string;
  readonly tiers: 'settled' | 'settled,hot';
  /** What the answer lacks; empty for a whole one. */
  readonly incomplete: readonly MissingPart[];
  /** varve.conflicts has more rows than the answer could be made of. */
  readonly areConflictsCut: boolean;
  /** Quoted, strong; null where the answer may change without a new history root. */
  readonly etag: string | null;
}

/** What an answer lacks, because nobody who holds it could be reached. */
export interface MissingPart {
  readonly table: string;
  readonly group: GroupId;
  readonly shard: number;
  readonly reason: string;
}

export type QueryAnswer =
  | { readonly kind: 'not-modified'; readonly facts: AnswerFacts }
  | { readonly kind: 'answer'; readonly facts: AnswerFacts; readonly body: AsyncIterable<Uint8Array> };
