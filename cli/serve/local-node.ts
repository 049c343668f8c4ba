import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';

/** An ingest node as one thing: what a compactor calls and what it reads. */
export function localNodeReader(peer: Peer, hotReader: HotReader): Peer & HotReader {
  return {
    node: peer.node,
    append: (batch, signal) => peer.append(batch, signal),
    closeGroup: (database, group, signal) => peer.closeGroup(database, group, signal),
    reportGroup: (database, group, signal) => peer.reportGroup(database, group, signal),
    listBatches: (address, signal) => peer.listBatches(address, signal),
    fetchBatches: (address, ids, signal) => peer.fetchBatches(address, ids, signal),
    releaseGroup: (database, group, sealed, signal) => peer.releaseGroup(database, group, sealed, signal),
    catchUp: (address, source, ranges, signal) => peer.catchUp(address, source, ranges, signal),
    describe: (request, signal) => hotReader.describe(request, signal),
    scan: (request, signal) => hotReader.scan(request, signal),
    holdings: (request, signal) => hotReader.holdings(request, signal),
  };
}
