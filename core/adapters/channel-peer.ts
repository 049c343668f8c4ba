import type { SequenceRange } from '../catalog/types.js';
import type { BatchId, GroupId, NodeId, ShardAddress } from '../model/batch.js';
import type { HotDescribeRequest, HotGroupRequest, HotReader, HotScanRequest } from '../ports/hot-reader.js';
import type {
  AppendResult,
  BatchLeaf,
  CatchUpResult,
  GroupReport,
  Peer,
  ReleaseResult,
} from '../ports/peer.js';
import { type ChannelClient, type ChannelParent, serveChannel } from '../std/channel.js';

/** Name of the channel over which a thread reaches the ingest node of its process. */
export const ingestChannel = 'ingest';

interface GroupArgument {
  readonly database: string;
  readonly group: GroupId;
}

interface CatchUpArgument {
  readonly address: ShardAddress;
  readonly source: NodeId;
  readonly ranges: readonly SequenceRange[];
}

/**
 * Answers the calls of ChannelPeer and ChannelHotReader that come in on the port. Returns a function that stops
 * answering. Pieces of a scan are moved to the caller; fetched batches are copied first, for the node may keep them.
 */
export function serveIngestChannel(
  port: ChannelParent,
  node: { readonly peer: Peer; readonly hotReader: HotReader },
): () => void {
  const { peer, hotReader } = node;
  return serveChannel(port, ingestChannel, {
    append: (batch: Uint8Array, signal) => peer.append(batch, signal),
    closeGroup: ({ database, group }: GroupArgument, signal) => peer.closeGroup(database, group, signal),
    reportGroup: ({ database, group }: GroupArgument, signal) => peer.reportGroup(database, group, signal),
    listBatches: (address: ShardAddress, signal) => peer.listBatches(address, signal),
    fetchBatches: (
      { address, ids }: { readonly address: ShardAddress; readonly ids: readonly BatchId[] },
      signal,
    ) => copies(peer.fetchBatches(address, ids, signal)),
    releaseGroup: (
      { database, group, sealed }: GroupArgument & { readonly sealed: readonly SequenceRange[] },
      signal,
    ) => peer.releaseGroup(database, group, sealed, signal),
    catchUp: ({ address, source, ranges }: CatchUpArgument, signal) =>
      peer.catchUp(address, source, ranges, signal),
    describe: (request: HotDescribeRequest, signal) => hotReader.describe(request, signal),
    scan: (request: HotScanRequest, signal) => hotReader.scan(request, signal),
    holdings: (request: HotGroupRequest, signal) => hotReader.holdings(request, signal),
  });
}

async function* copies(batches: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const batch of batches) yield Uint8Array.from(batch);
}

/** The ingest node of this process as another of its threads sees it. */
export class ChannelPeer implements Peer {
  readonly node: NodeId;
  readonly #client: ChannelClient;

  /** @param client of ingestChannel; shared with a ChannelHotReader of the same port */
  constructor(node: NodeId, client: ChannelClient) {
    this.node = node;
    this.#client = client;
  }

  append(batch: Uint8Array, signal?: AbortSignal): Promise<AppendResult> {
    return this.#client.call('append', batch, signal);
  }

  closeGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport> {
    return this.#client.call('closeGroup', { database, group } satisfies GroupArgument, signal);
  }

  reportGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport> {
    return this.#client.call('reportGroup', { database, group } satisfies GroupArgument, signal);
  }

  listBatches(address: ShardAddress, signal?: AbortSignal): Promise<readonly BatchLeaf[]> {
    return this.#client.call('listBatches', address, signal);
  }

  fetchBatches(
    address: ShardAddress,
    ids: readonly BatchId[],
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    return this.#client.stream('fetchBatches', { address, ids }, signal);
  }

  releaseGroup(
    database: string,
    group: GroupId,
    sealed: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<ReleaseResult> {
    return this.#client.call('releaseGroup', { database, group, sealed }, signal);
  }

  catchUp(
    address: ShardAddress,
    source: NodeId,
    ranges: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<CatchUpResult> {
    return this.#client.call('catchUp', { address, source, ranges } satisfies CatchUpArgument, signal);
  }
}
