import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotGroupRequest,
  HotReader,
  HotScanRequest,
} from '../core/ports/hot-reader.js';
import type { ShardHoldings } from '../core/ports/peer.js';
import { VarveError } from '../core/std/errors.js';
import { hedgedCall, isOfOwner } from './hot/hedged-call.js';
import { noOwnerReadMetrics, type OwnerReadMetrics } from './hot/owner-read-metrics.js';
import { OwnerReads } from './hot/owner-reads.js';
import type { ReadNode } from './hot/readable-owners.js';
import { unreadableError } from './hot/unreadable-shards.js';

export interface OwnerHotReaderOptions {
  /** One ingest node. */
  readonly nodeOf: (node: NodeId) => ReadNode;
  readonly clock: Clock;
  /** The node of this process, where there is one. */
  readonly localNode?: NodeId;
  readonly metrics?: OwnerReadMetrics;
}

/**
 * The hot tier of a cluster. A shard is read from one owner that has all that the consistency of the read asks for; a
 * slow one is raced by another that has it too. What cannot be read fails the query with `unavailable`, naming group,
 * shard, owners and reasons, unless the caller asked to be told: never a silently short answer (invariant 2).
 */
export class OwnerHotReader implements HotReader {
  /** What is known of the owners, for other readers of the same nodes. */
  readonly reads: OwnerReads;

  constructor(options: OwnerHotReaderOptions) {
    this.reads = new OwnerReads({ ...options, metrics: options.metrics ?? noOwnerReadMetrics });
  }

  async describe(request: HotDescribeRequest, signal?: AbortSignal): Promise<readonly HotChunkInfo[]> {
    const { database, group, table, read } = request;
    const shards = (request.shards ?? [{ owners: [] }]).map((owned, shard) => ({ ...owned, shard }));
    const answers = await this.reads.call(
      { database, group, table, shards, read },
      {
        name: 'describe',
        kind: 'quick',
        ask: (owner, _, callSignal) =>
          this.reads.nodeOf(owner).describe({ database, group, table }, callSignal),
      },
      signal,
    );
    const chunks = answers.flatMap(({ answer, shards: wanted, owners }) =>
      answer.filter((chunk) => wanted.has(chunk.shard)).map((chunk) => ({ ...chunk, owners })),
    );
    return chunks.sort((left, right) => left.shard - right.shard);
  }

  /** Only a node can tell what it holds. */
  async holdings(request: HotGroupRequest): Promise<readonly ShardHoldings[]> {
    throw new VarveError(
      'internal',
      `query: what is held of group ${request.group} was asked of all nodes together; want one node`,
    );
  }

  async *scan(request: HotScanRequest, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const { standing, clock, metrics, nodeOf } = this.reads;
    const { group, shard, table } = request;
    const owners = request.owners ?? [];
    const subject = { group, table, consistency: 'one' } as const;
    const begun = await hedgedCall<BegunScan>({
      owners: standing.order(owners),
      kind: 'scan',
      ask: (owner, callSignal) => beginScan(nodeOf(owner).scan(request, callSignal)),
      discard: ({ rest }) => void rest.return?.().catch(() => {}),
      ...{ standing, clock, signal },
    });
    if (begun.kind === 'failed') {
      throw unreadableError(subject, [{ shard, owners, failures: begun.failures }]);
    }
    this.reads.note('scan', begun);
    const { first, rest } = begun.answer;
    try {
      for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isOfOwner(error)) throw error;
      // Rows have gone out: another owner would give them once more. The caller reads the whole anew.
      standing.begin(begun.owner, 'scan').failed();
      metrics.brokeOff();
      throw unreadableError(subject, [{ shard, owners, failures: [{ owner: begun.owner, error }] }]);
    } finally {
      await rest.return?.();
    }
  }
}

/** A scan whose first piece has come. */
interface BegunScan {
  readonly first: IteratorResult<Uint8Array>;
  readonly rest: AsyncIterator<Uint8Array>;
}

async function beginScan(pieces: AsyncIterable<Uint8Array>): Promise<BegunScan> {
  const rest = pieces[Symbol.asyncIterator]();
  return { first: await rest.next(), rest };
}
