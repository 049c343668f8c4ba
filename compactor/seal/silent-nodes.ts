import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import { formatDurationMs } from '../../core/std/units.js';
import type { PeerLookup } from './seal-group.js';

/** A call that failed after less was refused; one that took longer was met with silence. */
const silentMsMin = 1000;
/** The first call to a node that was silent waits for so long; each one after it that fails too for twice as long. */
const probeMsMin = 2000;
const probeMsMax = 32_000;
/** A silent node is left alone for so many times as long as it was waited for. */
const restFactor = 2;

/** A node that did not answer. */
interface Silence {
  /** How long the next call waits. */
  readonly probeMs: number;
  /** Until then calls fail at once. */
  readonly restUntilMs: number;
  /** As the node failed then. Said again word for word, so that a group waits for one reason, not for a new one each time. */
  readonly error: VarveError;
}

/**
 * Remembers across groups which nodes are silent. A stopped node costs a caller all of the time in which it may be
 * silent; without this, every group that it owns would cost that anew, and sealing would fall behind. It is asked
 * again after a rest, for a short time first and then for longer and longer, so that a node that is only slow is heard.
 */
export class SilentNodes {
  readonly #peers: PeerLookup;
  readonly #clock: Clock;
  readonly #silences = new Map<NodeId, Silence>();

  constructor({ peers, clock }: { readonly peers: PeerLookup; readonly clock: Clock }) {
    this.#peers = peers;
    this.#clock = clock;
  }

  /** The node; `unavailable` at once while it is left alone. Fetching and scanning wait as long as they ever do. */
  readonly of: PeerLookup = (node) => {
    const peer = this.#peers(node);
    return {
      node: peer.node,
      append: (batch, signal) => peer.append(batch, signal),
      closeGroup: (database, group, signal) =>
        this.#ask(node, signal, (limited) => peer.closeGroup(database, group, limited)),
      reportGroup: (database, group, signal) =>
        this.#ask(node, signal, (limited) => peer.reportGroup(database, group, limited)),
      listBatches: (address, signal) => peer.listBatches(address, signal),
      fetchBatches: (address, ids, signal) => peer.fetchBatches(address, ids, signal),
      releaseGroup: (database, group, sealed, signal) =>
        this.#ask(node, signal, (limited) => peer.releaseGroup(database, group, sealed, limited)),
      catchUp: (address, source, ranges, signal) => peer.catchUp(address, source, ranges, signal),
      describe: (request, signal) => peer.describe(request, signal),
      holdings: (request, signal) => peer.holdings(request, signal),
      scan: (request, signal) => peer.scan(request, signal),
    };
  };

  async #ask<Answer>(
    node: NodeId,
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal | undefined) => Promise<Answer>,
  ): Promise<Answer> {
    const known = this.#silences.get(node);
    const startedMs = this.#clock.monotonicMs();
    if (known !== undefined && startedMs < known.restUntilMs) throw known.error;
    try {
      const answer =
        known === undefined ? await call(signal) : await this.#within(node, known.probeMs, signal, call);
      this.#silences.delete(node);
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      this.#note(node, known, startedMs, error);
      throw error;
    }
  }

  async #within<Answer>(
    node: NodeId,
    limitMs: number,
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const over = new AbortController();
    const late = new AbortController();
    const timer = this.#clock.sleep(limitMs, over.signal).then(
      () =>
        late.abort(
          new VarveError('unavailable', `node ${node}: no answer within ${formatDurationMs(limitMs)}`),
        ),
      () => {},
    );
    try {
      return await call(signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]));
    } catch (error) {
      throw late.signal.aborted && signal?.aborted !== true ? late.signal.reason : error;
    } finally {
      over.abort();
      await timer;
    }
  }

  #note(node: NodeId, known: Silence | undefined, startedMs: number, error: unknown): void {
    const nowMs = this.#clock.monotonicMs();
    const wasSilent = isVarveError(error, 'unavailable') && nowMs - startedMs >= silentMsMin;
    if (!wasSilent) {
      // It answers, or its machine does.
      this.#silences.delete(node);
      return;
    }
    const probeMs = known === undefined ? probeMsMin : Math.min(probeMsMax, 2 * known.probeMs);
    const waitedMs = known?.probeMs ?? probeMsMin;
    this.#silences.set(node, {
      probeMs,
      restUntilMs: nowMs + restFactor * waitedMs,
      error: known?.error ?? error,
    });
  }
}
