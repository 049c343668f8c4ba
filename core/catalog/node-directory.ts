import type { NodeId } from '../model/batch.js';
import type { Clock } from '../ports/clock.js';
import { VarveError } from '../std/errors.js';
import type { NodeRecord } from './types.js';

/** Finds the address of a node. */
export interface NodeLocator {
  /** Base URL of the node's peer API. `unavailable` when the catalog knows no such node or no address of it. */
  locate(node: NodeId, signal?: AbortSignal): Promise<string>;
  /** The address gave no answer: the next call reads the catalog anew. */
  forget(node: NodeId): void;
}

/** What is remembered so long is not asked of the catalog again. */
const rememberedMs = 5000;

/** Addresses from the catalog's node records, remembered for a while. A node that moved is found once its old address fails. */
export class NodeDirectory implements NodeLocator {
  readonly #nodes: { list(signal?: AbortSignal): Promise<readonly NodeRecord[]> };
  readonly #clock: Clock;
  readonly #known = new Map<NodeId, { readonly address: string; readonly readMs: number }>();

  /** @param options.nodes NodeCatalog */
  constructor(options: {
    readonly nodes: { list(signal?: AbortSignal): Promise<readonly NodeRecord[]> };
    readonly clock: Clock;
  }) {
    this.#nodes = options.nodes;
    this.#clock = options.clock;
  }

  async locate(node: NodeId, signal?: AbortSignal): Promise<string> {
    const known = this.#known.get(node);
    if (known !== undefined && this.#clock.monotonicMs() - known.readMs < rememberedMs) return known.address;
    const record = (await this.#nodes.list(signal)).find((candidate) => candidate.node === node);
    if (record === undefined || record.address === null) {
      const got = record === undefined ? 'has no node of that name' : 'has it without an address';
      throw new VarveError(
        'unavailable',
        `node ${node}: the catalog ${got}; want one that was started as \`varve ingest\``,
        { retryAfterSeconds: 5 },
      );
    }
    this.#known.set(node, { address: record.address, readMs: this.#clock.monotonicMs() });
    return record.address;
  }

  forget(node: NodeId): void {
    this.#known.delete(node);
  }
}
