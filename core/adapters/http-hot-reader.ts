import { readChunkInfos, readHoldings, scanRequestJson } from '../codec/peer-messages.js';
import type { NodeId } from '../model/batch.js';
import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotGroupRequest,
  HotReader,
  HotScanRequest,
} from '../ports/hot-reader.js';
import type { ShardHoldings } from '../ports/peer.js';
import type { PeerClient } from './peer-client.js';

/** The hot tier of an ingest node of another process or machine; ingest/http/peer-routes.ts is the other side. */
export class HttpHotReader implements HotReader {
  readonly #node: NodeId;
  readonly #client: PeerClient;

  /** @param client shared by all readers and peers of the process */
  constructor(node: NodeId, client: PeerClient) {
    this.#node = node;
    this.#client = client;
  }

  async describe(request: HotDescribeRequest, signal?: AbortSignal): Promise<readonly HotChunkInfo[]> {
    const { database, group, table } = request;
    return readChunkInfos(
      await this.#client.call(this.#node, 'describe', { database, group, table }, signal),
    );
  }

  scan(request: HotScanRequest, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#client.stream(this.#node, 'scan', scanRequestJson(request), signal);
  }

  async holdings(request: HotGroupRequest, signal?: AbortSignal): Promise<readonly ShardHoldings[]> {
    const { database, group } = request;
    return readHoldings(await this.#client.call(this.#node, 'holdings', { database, group }, signal));
  }
}
