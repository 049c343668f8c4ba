import { createHash } from 'node:crypto';
import type { GroupId, NodeId } from '../model/batch.js';

/**
 * The owners of a shard among the live nodes, by rendezvous hashing: each node has a score for the shard, and the
 * highest scores own it. A node that comes or goes changes only the shards it takes or gave up. After Thaler and
 * Ravishankar (1998).
 *
 * @returns `replication` nodes, or all of them when there are fewer
 */
export function assignOwners(
  database: string,
  group: GroupId,
  shard: number,
  nodes: readonly NodeId[],
  replication: number,
): NodeId[] {
  const score = (node: NodeId): Buffer =>
    createHash('sha256').update(`${database}\0${group}\0${shard}\0${node}`).digest();
  return nodes
    .map((node) => ({ node, score: score(node) }))
    .sort((left, right) => Buffer.compare(right.score, left.score))
    .slice(0, replication)
    .map(({ node }) => node);
}
