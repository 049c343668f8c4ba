import { ownersOf } from '../../core/catalog/group-list.js';
import type { NodeRecord, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { GroupReport, Peer } from '../../core/ports/peer.js';
import { errorMessage } from '../../core/std/errors.js';

/** Reaches a node's batches. */
export type PeerOf = (node: NodeId) => Peer;

/** The nodes that may hold batches of a group. */
export interface GroupNodes {
  /** Owners that are not lost. */
  readonly owners: readonly NodeId[];
  /** Owners of some shard that were declared lost and have not been replaced. */
  readonly lost: readonly NodeId[];
  /** Other nodes that live, or did a moment ago: they may keep hints for the owners. */
  readonly others: readonly NodeId[];
}

/** What the nodes of a group say. */
export interface GroupSurvey {
  readonly nodes: GroupNodes;
  readonly reports: Map<NodeId, GroupReport>;
  /** Why a node gave no report. */
  readonly unreachable: Map<NodeId, string>;
}

/** Sorts the nodes by what they are to the group. One that said nothing for so long is not waited for unless it owns a shard. */
export function nodesOf(
  group: ShardGroup,
  records: readonly NodeRecord[],
  nowMs: number,
  silenceMsMax: number,
): GroupNodes {
  const all = ownersOf(group);
  const isLost = new Set(records.filter(({ state }) => state === 'lost').map(({ node }) => node));
  return {
    owners: all.filter((owner) => !isLost.has(owner)),
    lost: all.filter((owner) => isLost.has(owner)),
    others: records
      .filter(({ node, state, heartbeatMs }) => {
        // One that left has handed over all its hints.
        const isGone = isLost.has(node) || state === 'left';
        return !all.includes(node) && !isGone && nowMs - heartbeatMs <= silenceMsMax;
      })
      .map(({ node }) => node),
  };
}

/**
 * Asks the owners and the nodes that may keep hints what they hold. `close` has the owners close the group first; the
 * others need not: what they hint from then on no owner takes, so it goes to the late group.
 */
export async function surveyGroup(
  databaseId: string,
  group: ShardGroup,
  nodes: GroupNodes,
  peerOf: PeerOf,
  options: { readonly close: boolean; readonly signal?: AbortSignal | undefined },
): Promise<GroupSurvey> {
  const survey: GroupSurvey = { nodes, reports: new Map(), unreachable: new Map() };
  const { close, signal } = options;
  await Promise.all([
    ...nodes.owners.map((owner) =>
      note(survey, owner, () => {
        const peer = peerOf(owner);
        return close
          ? peer.closeGroup(databaseId, group.id, signal)
          : peer.reportGroup(databaseId, group.id, signal);
      }),
    ),
    ...nodes.others.map((node) =>
      note(survey, node, () => peerOf(node).reportGroup(databaseId, group.id, signal)),
    ),
  ]);
  signal?.throwIfAborted();
  return survey;
}

/** Notes what a node says, or that it says nothing. */
export async function note(
  survey: GroupSurvey,
  node: NodeId,
  ask: () => Promise<GroupReport>,
): Promise<void> {
  try {
    survey.reports.set(node, await ask());
  } catch (error) {
    survey.reports.delete(node);
    survey.unreachable.set(node, errorMessage(error));
  }
}
