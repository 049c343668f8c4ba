import type { Database } from '../../core/catalog/types.js';
import { decodeBatch, encodeBatch } from '../../core/codec/batch-codec.js';
import { type Batch, type BatchId, batchIdText, type EncodedBatch } from '../../core/model/batch.js';
import type { TableRows } from '../../core/model/columns.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { IngestCatalog } from '../ingest-catalog.js';
import { partitionRows } from '../route/partition-rows.js';
import type { Router } from '../route/router.js';
import { shardRows } from '../route/shard-of.js';
import { isLevelMet } from './levels.js';
import type { Replicator } from './replicator.js';

/** Writes batches whose group takes no more where late rows go. */
export interface Reroute {
  /**
   * Writes the batch into the open late group under its own id and stamp, at the database's level; safe to repeat.
   * Resolves when the level is met. Errors: `not-found` when the database has been dropped, `unavailable` when the
   * level is not met; what is durable by then stays.
   */
  toLateGroup(batch: EncodedBatch, signal?: AbortSignal): Promise<void>;
}

/** How often another late group is tried because the one before had just closed. */
const attemptsMax = 8;

/** The late group, over the router and the replicator that writes take. */
export class LateGroupReroute implements Reroute {
  readonly #catalog: Pick<IngestCatalog, 'databaseById'>;
  readonly #router: Pick<Router, 'lateGroup' | 'forget'>;
  readonly #replicator: Pick<Replicator, 'replicate'>;

  constructor(options: {
    readonly catalog: Pick<IngestCatalog, 'databaseById'>;
    readonly router: Pick<Router, 'lateGroup' | 'forget'>;
    readonly replicator: Pick<Replicator, 'replicate'>;
  }) {
    this.#catalog = options.catalog;
    this.#router = options.router;
    this.#replicator = options.replicator;
  }

  async toLateGroup(encoded: EncodedBatch, signal?: AbortSignal): Promise<void> {
    const database = await this.#catalog.databaseById(encoded.database);
    if (database === undefined) {
      throw new VarveError(
        'not-found',
        `${doing(encoded)}: its database ${encoded.database} has been dropped; want one that is there`,
      );
    }
    const batch = decodeBatch(encoded.bytes);
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      signal?.throwIfAborted();
      if (await this.#write(database, batch)) return;
      this.#router.forget(database);
    }
    throw new VarveError(
      'unavailable',
      `${doing(encoded)}: ${attemptsMax} late groups of "${database.name}" closed meanwhile; want an open one`,
      { retryAfterSeconds: 1 },
    );
  }

  /** False when the late group has closed. Then all of the batch goes to the next one, so that its ids depend on nothing else. */
  async #write(database: Database, batch: Batch): Promise<boolean> {
    const group = await this.#router.lateGroup(database);
    // What is remembered may be the very group that the batch has to leave: its owners would call it a duplicate.
    if (group.id === batch.group) return false;
    const parts = readdressBatch(batch, group.id, group.shards.length);
    const results = await Promise.all(
      parts.map((part) => {
        const owners = group.shards[part.shard]?.owners ?? [];
        const to = { owners, replication: database.replication };
        return this.#replicator.replicate(part, encodeBatch(part), to, database.consistency);
      }),
    );
    if (results.some((result) => result.kind === 'closed')) return false;
    for (const result of results) {
      if (result.kind === 'closed' || isLevelMet(result.outcome)) continue;
      if (isVarveError(result.cause, 'unavailable', 'exhausted')) throw result.cause;
      const { level, shard, acknowledged, required } = result.outcome;
      throw new VarveError(
        'unavailable',
        `${doing(batch)}: level ${level} not met in shard ${shard} of group ${group.id}: got ${acknowledged.length} copies; ` +
          `want ${required}${result.cause === undefined ? '' : `: ${errorMessage(result.cause)}`}`,
        { retryAfterSeconds: 1, cause: result.cause },
      );
    }
    return true;
  }
}

/**
 * The batch for another group, under its own id and stamp. A group with another number of shards may need its rows
 * in several of them: each part then has an id that tells it from all others, and is the same whoever makes it.
 *
 * @param shards of the group
 */
export function readdressBatch(batch: Batch, group: Batch['group'], shards: number): Batch[] {
  const byShard = new Map<number, TableRows[]>();
  for (const rows of batch.tables) {
    for (const [shard, part] of partitionRows(rows, shardRows(rows, shards))) {
      const tables = byShard.get(shard) ?? [];
      byShard.set(shard, tables);
      tables.push(part.rows);
    }
  }
  return [...byShard].map(([shard, tables]) => ({
    ...batch,
    id: byShard.size === 1 ? batch.id : partId(batch.id, shard),
    group,
    shard,
    tables,
  }));
}

/** Epochs count the starts of a node: none comes near this. What is above it names parts. */
const epochsOfNodes = 2 ** 32;
/** One more than the most shards that a group may have, so that no part is 0. */
const partsBase = 1025;

/**
 * The id of the part of a batch that goes to a shard, no id of a node's own batch. The part stands in the epoch, which
 * is the one place of an id with room: ids of a group lie in one record whatever the shard, and names of nodes are theirs.
 * A part may be parted once more.
 *
 * @throws VarveError `invalid` for the part of a part of a part
 */
export function partId(id: BatchId, shard: number): BatchId {
  const path = Math.floor(id.epoch / epochsOfNodes) * partsBase + shard + 1;
  const epoch = path * epochsOfNodes + (id.epoch % epochsOfNodes);
  if (Number.isSafeInteger(epoch)) return { ...id, epoch };
  throw new VarveError(
    'invalid',
    `parting batch ${batchIdText(id)}: it has been parted twice before, by groups of three numbers of shards; want at most two`,
  );
}

function doing({ id, group }: Pick<Batch, 'id' | 'group'>): string {
  return `writing batch ${batchIdText(id)} of group ${group}, which takes no more, into the late group`;
}
