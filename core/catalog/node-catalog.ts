import type { NodeId } from '../model/batch.js';
import type { Clock } from '../ports/clock.js';
import { VarveError } from '../std/errors.js';
import { readNodeId } from './group-codec.js';
import { catalogPrefixes, nodeKey } from './keys.js';
import { type CatalogPorts, type RecordCodec, RecordStore } from './record-store.js';
import { Shape } from './shape.js';
import type { HintBacklog, NodeRecord } from './types.js';

export type HeartbeatResult =
  | { readonly kind: 'noted'; readonly record: NodeRecord }
  /**
   * The node has been started again since, was declared lost, or was never registered (epoch 0): this process must stop
   * writing.
   */
  | { readonly kind: 'superseded'; readonly by: number };

const format = 1;

/** Items `node/<node>`. They are never deleted: an epoch used again would name two batches alike. */
export const nodeCodec: RecordCodec<NodeRecord> = {
  encode: (record) =>
    JSON.stringify({
      format,
      node: record.node,
      epoch: record.epoch,
      address: record.address,
      heartbeatMs: record.heartbeatMs,
      state: record.state,
      ...(record.hints === undefined ? {} : { hints: record.hints }),
      ...(record.ephemeral === undefined ? {} : { ephemeral: true }),
      ...(record.handsOver === undefined ? {} : { handsOver: true }),
    }),
  decode: (key, text) => {
    const shape = Shape.parse(key, text, format);
    return {
      node: readNodeId(shape.at('node')),
      epoch: shape.at('epoch').integer(),
      address: shape.at('address').nullOr((address) => address.string()),
      heartbeatMs: shape.at('heartbeatMs').integer(),
      state: shape.at('state').oneOf('live', 'draining', 'left', 'lost'),
      ...(shape.has('hints') ? { hints: readBacklog(shape.at('hints')) } : {}),
      ...(shape.has('ephemeral') && shape.at('ephemeral').boolean() ? { ephemeral: true as const } : {}),
      ...(shape.has('handsOver') && shape.at('handsOver').boolean() ? { handsOver: true as const } : {}),
    };
  },
};

function readBacklog(shape: Shape): HintBacklog {
  return { count: shape.at('count').integer(), bytes: shape.at('bytes').integer() };
}

/** Reads a node's name. Errors: `invalid` unless it is 1 to 64 of [A-Za-z0-9_.-]. */
export function parseNodeId(name: string): NodeId {
  if (/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return name as NodeId;
  throw new VarveError(
    'invalid',
    `node ${JSON.stringify(name)}: want a name of 1 to 64 of A-Z a-z 0-9 _ . -`,
  );
}

/** The live nodes among `records`: heard of within `silenceMsMax` and not draining. */
export function liveNodes(
  records: readonly NodeRecord[],
  nowMs: number,
  silenceMsMax: number,
): readonly NodeRecord[] {
  return records.filter((record) => record.state === 'live' && nowMs - record.heartbeatMs <= silenceMsMax);
}

function lostError(node: NodeId): VarveError {
  return new VarveError(
    'conflict',
    `node ${node}: it was declared lost and others have taken its place; want another --node-id and an empty data directory`,
  );
}

/** The ingest nodes of a cluster. */
export class NodeCatalog {
  readonly #records: RecordStore;
  readonly #clock: Clock;

  constructor(ports: CatalogPorts) {
    this.#records = new RecordStore(ports);
    this.#clock = ports.clock;
  }

  /**
   * Notes a start of the node; its record carries the next epoch, which no earlier start had. `conflict` when the node
   * was declared lost: others have taken its place, and what it still holds may be gone from all lists.
   *
   * @param isEphemeral its data directory ends with its process
   */
  async register(
    node: NodeId,
    address: string | null,
    signal?: AbortSignal,
    isEphemeral = false,
  ): Promise<NodeRecord> {
    parseNodeId(node);
    const { outcome } = await this.#records.change<NodeRecord, NodeRecord>(
      nodeKey(node),
      nodeCodec,
      (current) => {
        if (current?.value.state === 'lost') throw lostError(node);
        const epoch = (current?.value.epoch ?? 0) + 1;
        const next: NodeRecord = {
          ...{ node, epoch, address, heartbeatMs: this.#clock.nowMs(), state: 'live' },
          ...(isEphemeral ? { ephemeral: true } : {}),
        };
        return { next, outcome: next };
      },
      signal,
    );
    return outcome;
  }

  /** Says that this start of the node still lives, and what it keeps for others. */
  async heartbeat(
    node: NodeId,
    epoch: number,
    signal?: AbortSignal,
    hints?: HintBacklog,
  ): Promise<HeartbeatResult> {
    const { outcome } = await this.#records.change<NodeRecord, HeartbeatResult>(
      nodeKey(node),
      nodeCodec,
      (current) => {
        if (current?.value.epoch !== epoch || current.value.state === 'lost') {
          return { next: undefined, outcome: { kind: 'superseded', by: current?.value.epoch ?? 0 } };
        }
        const { hints: _, ...record } = current.value;
        const backlog = hints === undefined || hints.count === 0 ? {} : { hints };
        const next = { ...record, heartbeatMs: this.#clock.nowMs(), ...backlog };
        return { next, outcome: { kind: 'noted', record: next } };
      },
      signal,
    );
    return outcome;
  }

  /**
   * Takes the node out of the choice of owners for new groups; what it owns it keeps until that is sealed. Its next
   * start makes it live again. Undefined when there is no such node.
   */
  async drain(node: NodeId, signal?: AbortSignal): Promise<NodeRecord | undefined> {
    const { record } = await this.#records.change<NodeRecord, void>(
      nodeKey(parseNodeId(node)),
      nodeCodec,
      (current) => {
        const live = current?.value.state === 'live';
        return { next: live ? { ...current.value, state: 'draining' } : undefined, outcome: undefined };
      },
      signal,
    );
    return record?.value;
  }

  /**
   * Notes that this start of the node takes no batches as an owner any more: it drains, and others take its place in
   * what is in flux. Must not be called before that is so: what it acknowledged after would count on a copy that goes.
   */
  async handOver(node: NodeId, epoch: number, signal?: AbortSignal): Promise<void> {
    await this.#records.change<NodeRecord, void>(
      nodeKey(node),
      nodeCodec,
      (current) => {
        const isOurs = current?.value.epoch === epoch && ['live', 'draining'].includes(current.value.state);
        const next: NodeRecord | undefined = isOurs
          ? { ...current.value, state: 'draining', handsOver: true }
          : undefined;
        return { next, outcome: undefined };
      },
      signal,
    );
  }

  /** Notes that a draining start of the node holds nothing any more and ends. A next start makes it live again. */
  async leave(node: NodeId, epoch: number, signal?: AbortSignal): Promise<void> {
    await this.#records.change<NodeRecord, void>(
      nodeKey(node),
      nodeCodec,
      (current) => {
        const isLeaving = current?.value.epoch === epoch && current.value.state === 'draining';
        return { next: isLeaving ? { ...current.value, state: 'left' } : undefined, outcome: undefined };
      },
      signal,
    );
  }

  /**
   * Declares the node lost for good: others take its place in what is in flux, and no start of it is let in again.
   * Whether it really is gone is for the caller to know; `conflict` when it was heard of less than `silenceMsMin` ago.
   * Undefined when there is no such node.
   */
  async forget(node: NodeId, signal?: AbortSignal, silenceMsMin = 0): Promise<NodeRecord | undefined> {
    const { record } = await this.#records.change<NodeRecord, void>(
      nodeKey(parseNodeId(node)),
      nodeCodec,
      (current) => {
        const isNews = current !== undefined && current.value.state !== 'lost';
        if (isNews) this.#checkSilent(current.value, silenceMsMin);
        return { next: isNews ? { ...current.value, state: 'lost' } : undefined, outcome: undefined };
      },
      signal,
    );
    return record?.value;
  }

  #checkSilent({ node, state, heartbeatMs }: NodeRecord, silenceMsMin: number): void {
    const silentMs = this.#clock.nowMs() - heartbeatMs;
    if (state === 'left' || silentMs >= silenceMsMin) return;
    throw new VarveError(
      'conflict',
      `declare node ${node} lost: it was heard of ${silentMs} ms ago; want silence of ${silenceMsMin} ms. Drain a node that lives, or end its process first`,
    );
  }

  /** Every node that ever registered, by name. */
  async list(signal?: AbortSignal): Promise<readonly NodeRecord[]> {
    const records = await this.#records.range(catalogPrefixes.node, nodeCodec, signal);
    return records.map((record) => record.value);
  }
}
