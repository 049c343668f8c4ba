import { Shape } from '../catalog/shape.js';
import type { SequenceRange } from '../catalog/types.js';
import type { BatchId, GroupId, NodeId, ShardAddress } from '../model/batch.js';
import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotGroupRequest,
  HotScanRequest,
} from '../ports/hot-reader.js';
import type {
  AppendResult,
  BatchLeaf,
  CatchUpResult,
  ChunkReport,
  GroupReport,
  ReleaseResult,
  ShardHoldings,
} from '../ports/peer.js';

/** Version of the messages; both sides must speak the same. docs/cluster.md describes them. */
export const peerVersion = '2';
/** Header of every request: version of the messages. */
export const peerVersionHeader = 'varve-peer-version';
/** Header of every request: the node that the caller means; an address may have passed to another. */
export const peerNodeHeader = 'varve-peer-node';
/** Header of every answer: the wall clock of the node when the call came and when the answer went. */
export const peerClockHeader = 'varve-clock';

/** When a node received a call and when it began to answer, by its own wall clock. */
export interface PeerTimes {
  readonly receivedMs: number;
  readonly answeredMs: number;
}

/** The clock header. */
export function formatPeerTimes({ receivedMs, answeredMs }: PeerTimes): string {
  return `${receivedMs} ${answeredMs}`;
}

/** Reads the clock header; undefined for anything else. */
export function parsePeerTimes(text: string | undefined): PeerTimes | undefined {
  const [, received, answered] = /^(\d{1,15}) (\d{1,15})$/.exec(text ?? '') ?? [];
  if (received === undefined || answered === undefined) return undefined;
  return { receivedMs: Number(received), answeredMs: Number(answered) };
}

/** Path of a method. */
export function peerPath(method: PeerMethod): string {
  return `/internal/v1/${method}`;
}

/** What a node can be asked. `append` takes the batch's bytes, the others JSON; the last two answer with frames. */
export type PeerMethod =
  | 'ping'
  | 'append'
  | 'close-group'
  | 'report-group'
  | 'list-batches'
  | 'release-group'
  | 'catch-up'
  | 'holdings'
  | 'describe'
  | 'conflicts'
  | 'kept-conflicts'
  | 'fetch-batches'
  | 'scan';

/** A group of a database, by its id. */
export interface GroupArgument {
  readonly database: string;
  readonly group: GroupId;
}

/** Reads the argument of close-group and report-group. Errors of this and all readers here: `corrupt`. */
export function readGroupArgument(value: unknown): GroupArgument {
  return groupArgument(Shape.of(value, 'request about a group'));
}

/** Reads the argument of list-batches. */
export function readShardAddress(value: unknown): ShardAddress {
  return shardAddress(Shape.of(value, 'request for the batches of a shard'));
}

/** Argument of fetch-batches. */
export interface FetchArgument {
  readonly address: ShardAddress;
  readonly ids: readonly BatchId[];
}

/** Reads the argument of fetch-batches. */
export function readFetchArgument(value: unknown): FetchArgument {
  const shape = Shape.of(value, 'request for batches');
  return { address: shardAddress(shape.at('address')), ids: shape.at('ids').array(batchId) };
}

/** Argument of release-group. */
export interface ReleaseArgument extends GroupArgument {
  readonly sealed: readonly SequenceRange[];
}

/** Reads the argument of release-group. */
export function readReleaseArgument(value: unknown): ReleaseArgument {
  const shape = Shape.of(value, 'request to release a group');
  return { ...groupArgument(shape), sealed: shape.at('sealed').array(sequenceRange) };
}

/** Argument of catch-up. */
export interface CatchUpArgument {
  readonly address: ShardAddress;
  readonly source: NodeId;
  readonly ranges: readonly SequenceRange[];
}

/** Reads the argument of catch-up. */
export function readCatchUpArgument(value: unknown): CatchUpArgument {
  const shape = Shape.of(value, 'request to catch up');
  return {
    address: shardAddress(shape.at('address')),
    source: shape.at('source').string() as NodeId,
    ranges: shape.at('ranges').array(sequenceRange),
  };
}

/** Reads the argument of holdings. */
export function readHoldingsRequest(value: unknown): HotGroupRequest {
  return groupArgument(Shape.of(value, 'request for what is held of a group'));
}

/** Reads the argument of describe. */
export function readDescribeRequest(value: unknown): HotDescribeRequest {
  const shape = Shape.of(value, 'request to describe chunks');
  return { ...groupArgument(shape), table: shape.at('table').string() };
}

/** The argument of scan as JSON: times as text. */
export function scanRequestJson(request: HotScanRequest): object {
  const { database, group, shard, table, columns, minTimeNs, maxTimeNs, tags, narrow } = request;
  const min = minTimeNs === null ? null : `${minTimeNs}`;
  const max = maxTimeNs === null ? null : `${maxTimeNs}`;
  const times = { minTimeNs: min, maxTimeNs: max };
  return { database, group, shard, table, columns, ...times, tags, ...(narrow === true ? { narrow } : {}) };
}

/** Reads the argument of scan. */
export function readScanRequest(value: unknown): HotScanRequest {
  const shape = Shape.of(value, 'request to scan a chunk');
  return {
    ...shardAddress(shape),
    table: shape.at('table').string(),
    columns: shape.at('columns').array((column) => column.string()),
    minTimeNs: shape.at('minTimeNs').nullOr((time) => time.bigint()),
    maxTimeNs: shape.at('maxTimeNs').nullOr((time) => time.bigint()),
    tags: shape.at('tags').array((predicate) => ({
      tag: predicate.at('tag').string(),
      values: predicate.at('values').array((tagValue) => tagValue.nullOr((text) => text.string())),
    })),
    ...(shape.has('narrow') ? { narrow: shape.at('narrow').boolean() } : {}),
  };
}

/** Reads the answer of append. */
export function readAppendResult(value: unknown): AppendResult {
  const kind = Shape.of(value, 'answer to append').at('kind').oneOf('applied', 'duplicate', 'closed');
  return { kind };
}

/** Reads the answer of release-group. */
export function readReleaseResult(value: unknown): ReleaseResult {
  const shape = Shape.of(value, 'answer to release-group');
  const kind = shape.at('kind').oneOf('released', 'kept');
  return kind === 'released' ? { kind } : { kind, notSealed: shape.at('notSealed').array(batchId) };
}

/** Reads the answer of catch-up. */
export function readCatchUpResult(value: unknown): CatchUpResult {
  return { fetched: Shape.of(value, 'answer to catch-up').at('fetched').integer() };
}

/** Reads the answer of holdings. */
export function readHoldings(value: unknown): readonly ShardHoldings[] {
  return Shape.of(value, 'answer to holdings').array(shardHoldings);
}

/** The answer of list-batches as JSON: hashes in hex. */
export function batchLeavesJson(leaves: readonly BatchLeaf[]): object {
  return leaves.map(({ id, hash }) => ({ id, hash: Buffer.from(hash).toString('hex') }));
}

/** Reads the answer of list-batches. */
export function readBatchLeaves(value: unknown): readonly BatchLeaf[] {
  return Shape.of(value, 'answer to list-batches').array((leaf) => {
    const hash = Buffer.from(leaf.at('hash').string(), 'hex');
    if (hash.length !== 16) leaf.at('hash').fail('32 hex digits');
    return { id: batchId(leaf.at('id')), hash: new Uint8Array(hash) };
  });
}

/** The answer of close-group and report-group as JSON: times as text, days as text for they may be negative. */
export function groupReportJson(report: GroupReport): object {
  return {
    ...report,
    chunks: report.chunks.map((chunk) => ({
      ...chunk,
      minTimeNs: `${chunk.minTimeNs}`,
      maxTimeNs: `${chunk.maxTimeNs}`,
      rowsByDay: chunk.rowsByDay.map(({ day, rows }) => [`${day}`, rows]),
    })),
  };
}

/** Reads the answer of close-group and report-group. */
export function readGroupReport(value: unknown): GroupReport {
  const shape = Shape.of(value, 'report of a group');
  return {
    group: shape.at('group').string() as GroupId,
    closed: shape.at('closed').boolean(),
    digest: shape.at('digest').string(),
    batches: shape.at('batches').array(sequenceRange),
    bytes: shape.at('bytes').integer(),
    chunks: shape.at('chunks').array(chunkReport),
    shards: shape.at('shards').array(shardHoldings),
    hinted: shape.at('hinted').array(shardHoldings),
  };
}

/** The answer of describe as JSON: times as text. */
export function chunkInfosJson(chunks: readonly HotChunkInfo[]): object {
  return chunks.map(({ shard, rows, minTimeNs, maxTimeNs }) => ({
    shard,
    rows,
    minTimeNs: `${minTimeNs}`,
    maxTimeNs: `${maxTimeNs}`,
  }));
}

/** Reads the answer of describe. */
export function readChunkInfos(value: unknown): readonly HotChunkInfo[] {
  return Shape.of(value, 'answer to describe').array((chunk) => ({
    shard: chunk.at('shard').integer(),
    rows: chunk.at('rows').integer(),
    minTimeNs: chunk.at('minTimeNs').bigint(),
    maxTimeNs: chunk.at('maxTimeNs').bigint(),
  }));
}

function chunkReport(shape: Shape): ChunkReport {
  return {
    table: shape.at('table').string(),
    shard: shape.at('shard').integer(),
    rows: shape.at('rows').integer(),
    seriesCount: shape.at('seriesCount').integer(),
    minTimeNs: shape.at('minTimeNs').bigint(),
    maxTimeNs: shape.at('maxTimeNs').bigint(),
    rowsByDay: shape.at('rowsByDay').array((pair) => {
      const [day, rows] = pair.pair();
      return { day: Number(day.bigint()), rows: rows.integer() };
    }),
    hasTimeNs: shape.at('hasTimeNs').boolean(),
  };
}

function shardHoldings(shape: Shape): ShardHoldings {
  return {
    shard: shape.at('shard').integer(),
    digest: shape.at('digest').string(),
    batches: shape.at('batches').array(sequenceRange),
  };
}

function groupArgument(shape: Shape): GroupArgument {
  return { database: shape.at('database').string(), group: shape.at('group').string() as GroupId };
}

function shardAddress(shape: Shape): ShardAddress {
  return { ...groupArgument(shape), shard: shape.at('shard').integer() };
}

function batchId(shape: Shape): BatchId {
  return {
    origin: shape.at('origin').string() as NodeId,
    epoch: shape.at('epoch').integer(),
    sequence: shape.at('sequence').integer(),
  };
}

function sequenceRange(shape: Shape): SequenceRange {
  return {
    origin: shape.at('origin').string() as NodeId,
    epoch: shape.at('epoch').integer(),
    first: shape.at('first').integer(),
    last: shape.at('last').integer(),
  };
}
