import type { ClusterSecret } from '../../core/http/cluster-secret.js';
import type { NodeId } from '../../core/model/batch.js';
import { ClockOffsets } from '../../ingest/clock-offsets.js';
import { ClusterView } from '../../ingest/cluster-view.js';
import type { Replicator } from '../../ingest/replicate/replicator.js';
import type { Ground } from '../serve/ground.js';
import { registerClusterGauges } from '../serve/replication-metrics.js';
import { registerUnderReplicatedGauge } from '../serve/under-replicated-gauge.js';
import { type ClusterNodes, openClusterNodes } from './cluster-nodes.js';

/** How an ingest node deals with the others. */
export interface ReplicationFlags {
  readonly heartbeatInterval: number;
  readonly nodeSilenceMax: number;
  readonly writeTimeout: number;
  readonly clockSkewMax: number;
}

/** An ingest node's side of the cluster: the way to the others, and what is known of them. */
export interface ClusterSide {
  readonly nodes: ClusterNodes;
  readonly view: ClusterView;
  readonly clocks: ClockOffsets;
  /** The node has recovered; from now on it writes to others. */
  open(replicator: Replicator): void;
}

/** Puts it together. Nothing is connected or read before the view is started. */
export function openClusterSide(
  ground: Ground,
  node: NodeId,
  secret: ClusterSecret,
  flags: ReplicationFlags,
): ClusterSide {
  const { clock, logger, catalogs, registry } = ground;
  let replicator: Replicator | undefined;
  const clocks = new ClockOffsets({ clock, skewMsMax: flags.clockSkewMax });
  const nodes = openClusterNodes(ground, secret, {
    clock,
    note: (other, sample) => clocks.note(other, sample),
  });
  const view = new ClusterView({
    node,
    nodes: catalogs.nodes,
    ping: (other, signal) => nodes.ping(other, signal),
    isSuspected: (other) => replicator?.isSuspected(other) ?? false,
    clock,
    logger,
    intervalMs: flags.heartbeatInterval,
    silenceMsMax: flags.nodeSilenceMax,
  });
  registerClusterGauges(registry, { lanes: () => replicator?.lanes() ?? [], view, clocks });
  registerUnderReplicatedGauge(registry, catalogs, logger);
  return {
    nodes,
    view,
    clocks,
    open: (opened) => {
      replicator = opened;
    },
  };
}
