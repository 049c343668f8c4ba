import type { SequenceRange } from '../catalog/types.js';
import {
  type CatchUpArgument,
  type FetchArgument,
  type GroupArgument,
  type ReleaseArgument,
  readAppendResult,
  readBatchLeaves,
  readCatchUpResult,
  readGroupReport,
  readReleaseResult,
} from '../codec/peer-messages.js';
import type { BatchId, GroupId, NodeId, ShardAddress } from '../model/batch.js';
import type {
  AppendResult,
  BatchLeaf,
  CatchUpResult,
  GroupReport,
  Peer,
  ReleaseResult,
} from '../ports/peer.js';
import type { PeerClient } from './peer-client.js';

/** An ingest node of another process or machine; ingest/http/peer-routes.ts is the other side. */
export class HttpPeer implements Peer {
  readonly node: NodeId;
  readonly #client: PeerClient;

  /** @param client shared by all peers of the process */
  constructor(node: NodeId, client: PeerClient) {
    this.node = node;
    this.#client = client;
  }

  async append(batch: Uint8Array, signal?: AbortSignal): Promise<AppendResult> {
    return readAppendResult(await this.#client.call(this.node, 'append', batch, signal));
  }

  async closeGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport> {
    const body: GroupArgument = { database, group };
    return readGroupReport(await this.#client.call(this.node, 'close-group', body, signal));
  }

  async reportGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport> {
    const body: GroupArgument = { database, group };
    return readGroupReport(await this.#client.call(this.node, 'report-group', body, signal));
  }

  async listBatches(address: ShardAddress, signal?: AbortSignal): Promise<readonly BatchLeaf[]> {
    const { database, group, shard } = address;
    return readBatchLeaves(
      await this.#client.call(this.node, 'list-batches', { database, group, shard }, signal),
    );
  }

  fetchBatches(
    address: ShardAddress,
    ids: readonly BatchId[],
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const body: FetchArgument = { address, ids };
    return this.#client.stream(this.node, 'fetch-batches', body, signal);
  }

  async releaseGroup(
    database: string,
    group: GroupId,
    sealed: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<ReleaseResult> {
    const body: ReleaseArgument = { database, group, sealed };
    return readReleaseResult(await this.#client.call(this.node, 'release-group', body, signal));
  }

  async catchUp(
    address: ShardAddress,
    source: NodeId,
    ranges: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<CatchUpResult> {
    const body: CatchUpArgument = { address, source, ranges };
    return readCatchUpResult(await this.#client.call(this.node, 'catch-up', body, signal));
  }
}
