import type { GroupId, NodeId } from '../model/batch.js';
import type { RecordCodec } from './record-store.js';
import { packSequenceRanges, unpackBits, unpackRuns } from './sequence-ranges.js';
import { Shape } from './shape.js';
import type { GroupList, SealException, SequenceRange, ShardGroup, ShardOwners } from './types.js';

const format = 1;

/** Items `groups/<database id>`. */
export const groupListCodec: RecordCodec<GroupList> = {
  encode: (list) =>
    JSON.stringify({
      format,
      database: list.database,
      settledThroughNs: String(list.settledThroughNs),
      openFromNs: String(list.openFromNs),
      nextGroup: list.nextGroup,
      nextCloseSequence: list.nextCloseSequence,
      fencingEpoch: list.fencingEpoch,
      groups: list.groups.map(groupMembers),
    }),
  decode: (key, text) => {
    const shape = Shape.parse(key, text, format);
    return {
      database: shape.at('database').string(),
      settledThroughNs: shape.at('settledThroughNs').bigint(),
      openFromNs: shape.at('openFromNs').bigint(),
      nextGroup: shape.at('nextGroup').integer(),
      nextCloseSequence: shape.at('nextCloseSequence').integer(),
      fencingEpoch: shape.at('fencingEpoch').integer(),
      groups: shape.at('groups').array(readGroup),
    };
  },
};

function groupMembers(group: ShardGroup): object {
  return {
    id: group.id,
    kind: group.kind,
    startNs: group.startNs === null ? null : String(group.startNs),
    endNs: group.endNs === null ? null : String(group.endNs),
    createdMs: group.createdMs,
    closeAfterMs: group.closeAfterMs,
    state: group.state,
    closeSequence: group.closeSequence,
    closedMs: group.closedMs,
    shards: group.shards.map((shard) => shard.owners),
    ...nodesByShard(group, 'filling'),
    ...nodesByShard(group, 'lost'),
    sealedBatches: group.sealedBatches === null ? null : packSequenceRanges(group.sealedBatches),
    ...(group.sealExceptions === undefined ? {} : { sealExceptions: group.sealExceptions }),
    sealedMs: group.sealedMs,
    released: group.released,
  };
}

/** Lists beside `shards`, only where some shard has such nodes. */
function nodesByShard(group: ShardGroup, member: 'filling' | 'lost'): object {
  if (group.shards.every((shard) => shard[member] === undefined)) return {};
  return { [member]: group.shards.map((shard) => shard[member] ?? []) };
}

function readGroup(shape: Shape): ShardGroup {
  const integer = (value: Shape): number => value.integer();
  const bigint = (value: Shape): bigint => value.bigint();
  return {
    id: readGroupId(shape.at('id')),
    kind: shape.at('kind').oneOf('window', 'late', 'ahead'),
    startNs: shape.at('startNs').nullOr(bigint),
    endNs: shape.at('endNs').nullOr(bigint),
    createdMs: shape.at('createdMs').integer(),
    closeAfterMs: shape.at('closeAfterMs').integer(),
    state: shape.at('state').oneOf('open', 'closing', 'sealed'),
    closeSequence: shape.at('closeSequence').nullOr(integer),
    closedMs: shape.at('closedMs').nullOr(integer),
    shards: readShards(shape),
    sealedBatches: shape.at('sealedBatches').nullOr((value) => value.array(readRanges).flat()),
    ...(shape.has('sealExceptions')
      ? { sealExceptions: shape.at('sealExceptions').array(readSealException) }
      : {}),
    sealedMs: shape.at('sealedMs').nullOr(integer),
    released: shape.at('released').array(readNodeId),
  };
}

function readShards(shape: Shape): ShardOwners[] {
  const lists = (member: string): NodeId[][] =>
    shape.has(member) ? shape.at(member).array((nodes) => nodes.array(readNodeId)) : [];
  const [filling, lost] = [lists('filling'), lists('lost')];
  return lists('shards').map((owners, shard) => ({
    owners,
    ...nonEmpty('filling', filling[shard]),
    ...nonEmpty('lost', lost[shard]),
  }));
}

function nonEmpty(member: string, nodes: readonly NodeId[] | undefined): object {
  return nodes === undefined || nodes.length === 0 ? {} : { [member]: nodes };
}

function readSealException(shape: Shape): SealException {
  return {
    shard: shape.at('shard').nullOr((shard) => shard.integer()),
    missing: shape.at('missing').array(readNodeId),
  };
}

/** The id of a group. */
export function readGroupId(shape: Shape): GroupId {
  const id = shape.string();
  return /^[wl][0-9]{12}$/.test(id) ? (id as GroupId) : shape.fail('"w" or "l" and 12 digits');
}

/** The id of a node. */
export function readNodeId(shape: Shape): NodeId {
  const node = shape.string();
  return /^[A-Za-z0-9_.-]{1,64}$/.test(node) ? (node as NodeId) : shape.fail('1 to 64 of [A-Za-z0-9_.-]');
}

function readRanges(shape: Shape): SequenceRange[] {
  const origin = readNodeId(shape.at('origin'));
  const epoch = shape.at('epoch').integer();
  if (shape.has('bits')) {
    const bits = shape.at('bits');
    const ranges = unpackBits(origin, epoch, shape.at('first').integer(), bits.string());
    return ranges ?? bits.fail('base64 of a bitmap that begins with a 1');
  }
  const runs = shape.at('runs');
  return unpackRuns(origin, epoch, runs.string()) ?? runs.fail('runs such as "0+9,4"');
}
