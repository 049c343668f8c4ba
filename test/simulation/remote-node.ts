import type { NodeId } from '../../core/model/batch.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import type { Network } from './network.js';
import type { SimulatedProcess } from './simulated-process.js';

/** What an ingest node offers to others. */
export type NodeService = Peer & HotReader;

/** An ingest node as `from` sees it over the network. */
export function remoteNode(network: Network<NodeService>, from: SimulatedProcess, node: NodeId): NodeService {
  const call = <T>(
    method: string,
    about: string,
    act: (service: NodeService) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> => network.call(from, node, { method, about, repeatable: true }, act, signal);
  return {
    node,
    append: (batch, signal) => {
      const bytes = new Uint8Array(batch);
      return call('append', `${bytes.length} B`, (service) => service.append(bytes), signal);
    },
    closeGroup: (database, group, signal) =>
      call('close-group', group, (service) => service.closeGroup(database, group), signal),
    reportGroup: (database, group, signal) =>
      call('report-group', group, (service) => service.reportGroup(database, group), signal),
    listBatches: (address, signal) =>
      call(
        'list-batches',
        `${address.group}/${address.shard}`,
        (service) => service.listBatches(address),
        signal,
      ),
    fetchBatches: (address, ids, signal) =>
      network.stream(
        from,
        node,
        { method: 'fetch-batches', about: `${address.group}/${address.shard}, ${ids.length} ids` },
        (service) => service.fetchBatches(address, ids),
        signal,
      ),
    releaseGroup: (database, group, sealed, signal) =>
      call('release-group', group, (service) => service.releaseGroup(database, group, sealed), signal),
    catchUp: (address, source, ranges, signal) =>
      call(
        'catch-up',
        `${address.group}/${address.shard} from ${source}`,
        (service) => service.catchUp(address, source, ranges),
        signal,
      ),
    describe: (request, signal) =>
      call('describe', `${request.group} ${request.table}`, (service) => service.describe(request), signal),
    holdings: (request, signal) =>
      call('holdings', request.group, (service) => service.holdings(request), signal),
    scan: (request, signal) =>
      network.stream(
        from,
        node,
        { method: 'scan', about: `${request.group}/${request.shard} ${request.table}` },
        (service) => service.scan(request),
        signal,
      ),
  };
}
