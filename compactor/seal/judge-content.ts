import {
  countSequences,
  normalizeSequenceRanges,
  subtractSequenceRanges,
} from '../../core/catalog/sequence-ranges.js';
import type { SealException, SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';
import type { ChunkReport, GroupReport } from '../../core/ports/peer.js';
import { heldBy, shardUnion } from './catch-up-orders.js';
import type { GroupSurvey } from './group-survey.js';

/** A chunk to be sealed and the owners that hold all of it, each the same; never empty. */
export interface ChunkToSeal extends ChunkReport {
  readonly owners: readonly NodeId[];
}

/** What a closed group holds, as its owners say. */
export type ContentAgreement =
  | {
      readonly kind: 'agreed';
      readonly chunks: readonly ChunkToSeal[];
      /** Every batch of the group. */
      readonly batches: readonly SequenceRange[];
      /** Nodes that could not be asked, by shard; empty when all were. */
      readonly exceptions: readonly SealException[];
      /** Batches that were agreed on before and that no node holds any more: they are lost. */
      readonly gone: number;
    }
  /** Not yet: the group stays closing and is looked at again in the next round. */
  | { readonly kind: 'waiting'; readonly reason: string };

/** How one shard stands. */
interface ShardVerdict {
  readonly shard: number;
  readonly wanted: readonly SequenceRange[];
  /** Owners that hold exactly the same, and all of what is wanted. */
  readonly agreeing: readonly NodeId[];
  /** Owners that are not lost and do not agree. */
  readonly missing: readonly NodeId[];
  /** Owners that are lost and have not been replaced, and former ones that were. */
  readonly lost: readonly NodeId[];
  /** Why there are too few that agree, were patience over; undefined when there are enough. */
  readonly tooFew: string | undefined;
  readonly problems: readonly string[];
}

/**
 * Whether what the nodes hold may be sealed. Pure. All owners of each shard must hold the same, and all live nodes that
 * may keep hints must have been asked. Once patience is over, a quorum of each shard's owners suffices: it meets every
 * quorum that acknowledged a batch, so each such batch is in the union. Where owners were lost a quorum of the others is
 * wanted, or all of them; and the same of those that have not just taken a lost one's place, for what was acknowledged
 * before that.
 */
export function judgeContent(
  group: ShardGroup,
  survey: GroupSurvey,
  patienceIsOver: boolean,
): ContentAgreement {
  const verdicts = group.shards.map((_, shard) => judgeShard(group, shard, survey));
  const unasked = survey.nodes.others.filter((node) => !survey.reports.has(node));
  const problems = [
    ...verdicts.flatMap((verdict) => verdict.problems),
    ...unasked.map((node) => `node ${node}, which may keep hints: ${survey.unreachable.get(node) ?? '?'}`),
  ];
  const gone = subtractSequenceRanges(
    group.sealedBatches ?? [],
    verdicts.flatMap(({ wanted }) => wanted),
  );
  const isWhole = unasked.length === 0 && verdicts.every(({ missing }) => missing.length === 0);
  const hasQuorum = verdicts.every(
    ({ tooFew, agreeing, wanted }) => tooFew === undefined && (agreeing.length > 0 || wanted.length === 0),
  );
  if (gone.length > 0 && !isWhole) {
    problems.push(`${countSequences(gone)} batches that were agreed on are with nodes that do not answer`);
  }
  if (!hasQuorum || (!isWhole && (!patienceIsOver || gone.length > 0))) {
    const few = verdicts.flatMap(({ tooFew }) => tooFew ?? []);
    const advice = patienceIsOver && few.length > 0 ? adviceOn(group, survey) : [];
    return { kind: 'waiting', reason: inFewWords([...few, ...advice, ...problems]) };
  }
  return {
    kind: 'agreed',
    chunks: verdicts.flatMap((verdict) => chunksOf(verdict, survey)),
    batches: group.sealedBatches ?? normalizeSequenceRanges(verdicts.flatMap(({ wanted }) => wanted)),
    exceptions: exceptionsOf(verdicts, unasked),
    gone: countSequences(gone),
  };
}

function judgeShard(group: ShardGroup, shard: number, survey: GroupSurvey): ShardVerdict {
  const { owners, filling = [], lost: replaced = [] } = group.shards[shard] ?? { owners: [] };
  const { reports, unreachable, nodes } = survey;
  const union = shardUnion(shard, reports.values());
  // What was agreed on before stands: batches that turned up since go to the late group when the owners let go.
  const wanted = group.sealedBatches === null ? union : intersect(union, group.sealedBatches);
  const present = owners.filter((owner) => !nodes.lost.includes(owner));
  const problems: string[] = [];
  const complete: NodeId[] = [];
  for (const owner of present) {
    const report = reports.get(owner);
    const lacking = countSequences(subtractSequenceRanges(wanted, heldBy(report, shard)));
    if (report === undefined) problems.push(`owner ${owner}: ${unreachable.get(owner) ?? 'no answer'}`);
    else if (!report.closed) problems.push(`owner ${owner} has not closed the group`);
    else if (lacking > 0) problems.push(`owner ${owner} lacks ${lacking} batches of shard ${shard}`);
    else complete.push(owner);
  }
  const agreeing = largestClass(complete, (owner) => digestOf(reports.get(owner), shard));
  const others = complete.filter((owner) => !agreeing.includes(owner));
  if (others.length > 0) {
    problems.push(
      `owners ${agreeing.join(', ')} and ${others.join(', ')} hold different bytes of shard ${shard}`,
    );
  }
  const counting = present.filter((owner) => !filling.includes(owner));
  return {
    shard,
    wanted,
    agreeing,
    missing: present.filter((owner) => !agreeing.includes(owner)),
    lost: [...owners.filter((owner) => nodes.lost.includes(owner)), ...replaced],
    tooFew:
      tooFew(shard, owners.length, agreeing, present) ?? tooFew(shard, owners.length, agreeing, counting),
    problems,
  };
}

/** Who has to come back, once waiting alone does not help any more. */
function adviceOn({ shards }: ShardGroup, { nodes, reports }: GroupSurvey): string[] {
  const away = nodes.owners.filter((owner) => !reports.has(owner));
  if (away.length === 0) return [];
  const filling = [...new Set(shards.flatMap((shard) => shard.filling ?? []))];
  const why = filling.length === 0 ? '' : ` (${filling.join(', ')} does not count until it is filled)`;
  return [`want ${away.join(', ')} back, or declared lost by \`varve nodes forget\`${why}`];
}

/** What is wanting to a quorum of `among`, or to all of them where they are fewer. */
function tooFew(
  shard: number,
  ownerCount: number,
  agreeing: readonly NodeId[],
  among: readonly NodeId[],
): string | undefined {
  const required = Math.min(quorumOf(ownerCount), among.length);
  const agree = among.filter((owner) => agreeing.includes(owner)).length;
  return agree < required ? `shard ${shard}: ${agree} of ${required} owners agree` : undefined;
}

/** The most of the owners that say the same; of equally many those whose word sorts first. */
function largestClass(owners: readonly NodeId[], wordOf: (owner: NodeId) => string): readonly NodeId[] {
  const classes = new Map<string, NodeId[]>();
  for (const owner of owners) {
    const word = wordOf(owner);
    classes.set(word, [...(classes.get(word) ?? []), owner]);
  }
  const sorted = [...classes].sort(
    ([left, lefts], [right, rights]) => rights.length - lefts.length || (left < right ? -1 : 1),
  );
  return sorted[0]?.[1] ?? [];
}

function digestOf(report: GroupReport | undefined, shard: number): string {
  return report?.shards.find((held) => held.shard === shard)?.digest ?? '';
}

function chunksOf({ shard, agreeing }: ShardVerdict, { reports }: GroupSurvey): ChunkToSeal[] {
  const [first] = agreeing;
  const chunks = first === undefined ? [] : (reports.get(first)?.chunks ?? []);
  return chunks.filter((chunk) => chunk.shard === shard).map((chunk) => ({ ...chunk, owners: agreeing }));
}

function exceptionsOf(verdicts: readonly ShardVerdict[], unasked: readonly NodeId[]): SealException[] {
  const exceptions: SealException[] = [];
  for (const { shard, missing, lost } of verdicts) {
    if (missing.length + lost.length > 0) exceptions.push({ shard, missing: [...missing, ...lost] });
  }
  if (unasked.length > 0) exceptions.push({ shard: null, missing: unasked });
  return exceptions;
}

function intersect(left: readonly SequenceRange[], right: readonly SequenceRange[]): SequenceRange[] {
  return subtractSequenceRanges(left, subtractSequenceRanges(left, right));
}

/** The first few of many reasons, each once. */
function inFewWords(reasons: readonly string[]): string {
  const different = [...new Set(reasons)];
  const more = different.length - 5;
  return different.slice(0, 5).join('; ') + (more > 0 ? `; and ${more} more` : '');
}
