import type { NodeRecord, SealException, ShardGroup } from '../../core/catalog/types.js';
import type { Clock } from '../../core/ports/clock.js';
import { bringUpToDate } from './catch-up-orders.js';
import { nodesOf, type PeerOf, surveyGroup } from './group-survey.js';
import { type ContentAgreement, judgeContent } from './judge-content.js';

export interface AgreementTools {
  readonly peers: PeerOf;
  readonly clock: Clock;
  /** How long after it was closed a group waits for all its owners; after that a quorum suffices. */
  readonly patienceMs: number;
  /** A node that said nothing for so long is not waited for because of hints it may keep. */
  readonly nodeSilenceMs: number;
  /** Told how many batches owners fetched from others. */
  readonly onCatchUp?: (batches: number) => void;
}

/**
 * Closes the group on every owner, has owners that lack batches fetch them, from other owners or from nodes that keep
 * hints, and compares what they hold then. Idempotent: what is agreed on is for the caller to write down. As long as
 * owners differ or cannot be asked the group waits, so that nothing acknowledged is left out of history (invariant 2).
 */
export async function agreeOnContent(
  databaseId: string,
  group: ShardGroup,
  records: readonly NodeRecord[],
  tools: AgreementTools,
  signal?: AbortSignal,
): Promise<ContentAgreement> {
  const { peers, clock, patienceMs, nodeSilenceMs, onCatchUp } = tools;
  const nodes = nodesOf(group, records, clock.nowMs(), nodeSilenceMs);
  const survey = await surveyGroup(databaseId, group, nodes, peers, { close: true, signal });
  const { fetched, failures } = await bringUpToDate(databaseId, group, survey, peers, signal);
  if (fetched > 0) onCatchUp?.(fetched);
  const isOver = clock.nowMs() - (group.closedMs ?? clock.nowMs()) >= patienceMs;
  const judged = judgeContent(group, survey, isOver);
  if (judged.kind === 'agreed' || failures.length === 0) return judged;
  return { kind: 'waiting', reason: `${judged.reason}; ${failures[0]}` };
}

/** Exceptions in words, for logs, the status and the properties of a snapshot: `shard 0 without n3; hints of n4`. */
export function describeExceptions(exceptions: readonly SealException[]): string {
  return exceptions
    .map(({ shard, missing }) =>
      shard === null ? `hints of ${missing.join(', ')}` : `shard ${shard} without ${missing.join(', ')}`,
    )
    .join('; ');
}
