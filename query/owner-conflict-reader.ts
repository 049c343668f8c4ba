import type { NodeRecord } from '../core/catalog/types.js';
import type { NodeId } from '../core/model/batch.js';
import type {
  ConflictList,
  ConflictReader,
  ConflictRequest,
  KeptConflictRequest,
} from '../core/ports/conflict-reader.js';
import { joinConflicts } from './hot/join-conflicts.js';
import type { OwnerReads } from './hot/owner-reads.js';

export interface OwnerConflictReaderOptions {
  /** Of the OwnerHotReader, so that both know the same of the nodes. */
  readonly reads: OwnerReads;
  readonly conflictsOf: (node: NodeId) => ConflictReader;
  /** The nodes that the catalog knows. */
  readonly listNodes: (signal?: AbortSignal) => Promise<readonly NodeRecord[]>;
}

/** What a node remembers of the past is worth no longer wait than this. */
const keptMsMax = 2000;

/**
 * The conflicts of a cluster: of each shard in flux as one owner sees it that holds what the read demands, and of
 * groups that went to history as all nodes together remember them.
 */
export class OwnerConflictReader implements ConflictReader {
  readonly #options: OwnerConflictReaderOptions;

  constructor(options: OwnerConflictReaderOptions) {
    this.#options = options;
  }

  async conflicts(request: ConflictRequest, signal?: AbortSignal): Promise<ConflictList> {
    const { reads, conflictsOf } = this.#options;
    const { database, group, conflictsMax, read } = request;
    const shards = (request.shards ?? []).map((owned, shard) => ({ ...owned, shard }));
    const answers = await reads.call(
      { database, group, table: null, shards, read },
      {
        name: 'conflicts',
        kind: 'scan',
        ask: (owner, only, callSignal) =>
          conflictsOf(owner).conflicts({ database, group, conflictsMax, only }, callSignal),
      },
      signal,
    );
    return joinConflicts(
      answers.map(({ answer }) => answer),
      conflictsMax,
    );
  }

  /** A node that does not answer is left out, and the list is told to be cut. */
  async keptConflicts(request: KeptConflictRequest, signal?: AbortSignal): Promise<ConflictList> {
    const { listNodes } = this.#options;
    const nodes = (await listNodes(signal)).filter(
      ({ state, address }) => state !== 'lost' && address !== null,
    );
    const lists = await Promise.all(nodes.map(({ node }) => this.#keptAt(node, request, signal)));
    signal?.throwIfAborted();
    return joinConflicts(
      lists.map((list) => list ?? { conflicts: [], isCut: true }),
      request.conflictsMax,
    );
  }

  async #keptAt(
    node: NodeId,
    request: KeptConflictRequest,
    signal: AbortSignal | undefined,
  ): Promise<ConflictList | undefined> {
    const { reads, conflictsOf } = this.#options;
    const abort = new AbortController();
    const timer = new AbortController();
    const late = reads.clock.sleep(keptMsMax, timer.signal).then(
      () => abort.abort(),
      () => {},
    );
    const callSignal = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
    try {
      const asked = conflictsOf(node).keptConflicts(request, callSignal);
      return await Promise.race([asked, late.then(() => undefined)]);
    } catch {
      return undefined;
    } finally {
      timer.abort();
    }
  }
}
