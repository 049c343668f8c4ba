import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseNodeId } from '../catalog/node-catalog.js';
import { countOwnedGroups, type GroupsInFlux } from '../catalog/owned-groups.js';
import type { NodeRecord } from '../catalog/types.js';
import type { NodeId } from '../model/batch.js';
import type { Clock } from '../ports/clock.js';
import { VarveError } from '../std/errors.js';

/** What the routes ask of the catalog of nodes. */
export interface NodeAdministration {
  list(): Promise<readonly NodeRecord[]>;
  drain(node: NodeId): Promise<NodeRecord | undefined>;
  forget(
    node: NodeId,
    signal: AbortSignal | undefined,
    silenceMsMin: number,
  ): Promise<NodeRecord | undefined>;
}

export interface NodeRoutesOptions {
  readonly nodes: NodeAdministration;
  readonly inFlux: GroupsInFlux;
  readonly clock: Clock;
}

/** A node heard of less long ago than this is no lost one: it has missed a few heartbeats at most. */
const lostSilenceMsMin = 15_000;
/** A node silent for longer is not counted on to take over from one that is drained. */
const liveSilenceMsMax = 15_000;

/**
 * Registers `GET /api/v1/nodes`, `POST /api/v1/nodes/drain` and `POST /api/v1/nodes/forget`. They work on the catalog
 * alone, so any process of the cluster answers them.
 */
export function registerNodeRoutes(server: FastifyInstance, options: NodeRoutesOptions): void {
  const { nodes, clock } = options;

  server.get('/api/v1/nodes', async () => {
    const [records, owned] = await Promise.all([nodes.list(), countOwnedGroups(options.inFlux)]);
    return {
      nodes: records.map((record) => describeNode(record, owned.get(record.node) ?? 0, clock.nowMs())),
    };
  });

  server.post('/api/v1/nodes/drain', async (request) => {
    const node = nodeOf(request);
    checkOthersLive(node, await nodes.list(), clock.nowMs());
    return answer(await nodes.drain(node), node, 'draining');
  });

  server.post('/api/v1/nodes/forget', async (request) => {
    const node = nodeOf(request);
    return answer(await nodes.forget(node, undefined, lostSilenceMsMin), node, 'lost');
  });

  async function answer(
    record: NodeRecord | undefined,
    node: NodeId,
    wanted: NodeRecord['state'],
  ): Promise<object> {
    if (record === undefined)
      throw new VarveError('not-found', `got node ${node}; want one that the catalog knows`);
    if (record.state !== wanted && !(wanted === 'draining' && record.state === 'left')) {
      throw new VarveError('conflict', `node ${node} is ${record.state}; want it live`);
    }
    const owned = await countOwnedGroups(options.inFlux);
    return describeNode(record, owned.get(node) ?? 0, clock.nowMs());
  }
}

/** A drained node hands its part on to others: there must be one. */
function checkOthersLive(node: NodeId, records: readonly NodeRecord[], nowMs: number): void {
  const record = records.find((candidate) => candidate.node === node);
  if (record === undefined || record.state !== 'live') return;
  const isOther = (other: NodeRecord): boolean =>
    other.node !== node && other.state === 'live' && nowMs - other.heartbeatMs <= liveSilenceMsMax;
  if (records.some(isOther)) return;
  throw new VarveError(
    'conflict',
    `drain node ${node}: no other node is live; want one that takes over what comes next. To end the only node, stop its process`,
  );
}

/** A node as the API shows it. */
function describeNode(record: NodeRecord, groups: number, nowMs: number): object {
  return {
    node: record.node,
    epoch: record.epoch,
    state: record.state,
    address: record.address,
    heartbeat_age_seconds: Math.max(0, nowMs - record.heartbeatMs) / 1000,
    groups_owned: groups,
    hints: record.hints?.count ?? 0,
    hint_bytes: record.hints?.bytes ?? 0,
  };
}

function nodeOf(request: FastifyRequest): NodeId {
  const { body } = request;
  const name = typeof body === 'object' && body !== null && 'node' in body ? body.node : undefined;
  if (typeof name === 'string') return parseNodeId(name);
  throw new VarveError(
    'invalid',
    `${request.method} ${request.routeOptions.url}: got no "node"; want {"node": "name"}`,
  );
}
