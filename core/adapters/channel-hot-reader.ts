import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotGroupRequest,
  HotReader,
  HotScanRequest,
} from '../ports/hot-reader.js';
import type { ShardHoldings } from '../ports/peer.js';
import type { ChannelClient } from '../std/channel.js';

/** The hot tier of this process as another of its threads reads it; serveIngestChannel is the other side. */
export class ChannelHotReader implements HotReader {
  readonly #client: ChannelClient;

  /** @param client of ingestChannel; shared with a ChannelPeer of the same port */
  constructor(client: ChannelClient) {
    this.#client = client;
  }

  describe(request: HotDescribeRequest, signal?: AbortSignal): Promise<readonly HotChunkInfo[]> {
    // What tells a reader over several nodes how to read holds a function, which no channel takes.
    const { database, group, table } = request;
    return this.#client.call('describe', { database, group, table }, signal);
  }

  scan(request: HotScanRequest, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#client.stream('scan', request, signal);
  }

  holdings(request: HotGroupRequest, signal?: AbortSignal): Promise<readonly ShardHoldings[]> {
    return this.#client.call('holdings', request, signal);
  }
}
