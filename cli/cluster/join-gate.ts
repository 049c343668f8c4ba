import type { FastifyInstance } from 'fastify';
import { liveNodes } from '../../core/catalog/node-catalog.js';
import { countGroupsShortOfCopies } from '../../core/catalog/owned-groups.js';
import type { Clock } from '../../core/ports/clock.js';
import { errorMessage } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { Catalogs } from '../serve/catalogs.js';

export interface JoinGateOptions {
  readonly catalogs: Pick<Catalogs, 'nodes' | 'databases' | 'groups'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A node that gave no heartbeat for so long is not live. */
  readonly nodeSilenceMs: number;
  /** After so long the node has joined, whatever others lack; 0: at once. */
  readonly patienceMs: number;
}

/**
 * Tells a platform that replaces nodes one after the other when it may go on: once this node has recovered and everything
 * in flux has all its copies again. It does not go back: a platform would end nodes that wait for a store, and their
 * disks with them.
 */
export class JoinGate {
  readonly #options: JoinGateOptions;
  #recoveredMs: number | undefined;
  #hasJoined = false;

  constructor(options: JoinGateOptions) {
    this.#options = options;
  }

  /** The node has recovered and takes writes. */
  recovered(): void {
    this.#recoveredMs = this.#options.clock.monotonicMs();
  }

  /** What the node still waits for; null once it has joined. */
  async waitsFor(): Promise<string | null> {
    const { clock, logger, patienceMs, nodeSilenceMs } = this.#options;
    if (this.#hasJoined) return null;
    if (this.#recoveredMs === undefined) return 'recovering';
    const waitedMs = clock.monotonicMs() - this.#recoveredMs;
    // A node that died just before this one came would pass for live until its silence tells.
    if (waitedMs < Math.min(nodeSilenceMs, patienceMs)) return 'seeing who lives';
    const short = waitedMs >= patienceMs ? 0 : await this.#groupsShort();
    if (short !== 0) return `${short ?? 'unknown'} groups in flux lack a copy`;
    this.#hasJoined = true;
    logger.info({ waitedMs }, 'this node has joined: others may be replaced now');
    return null;
  }

  async #groupsShort(): Promise<number | null> {
    const { catalogs, clock, logger, nodeSilenceMs } = this.#options;
    try {
      const live = liveNodes(await catalogs.nodes.list(), clock.nowMs(), nodeSilenceMs);
      return await countGroupsShortOfCopies(
        live.map(({ node }) => node),
        catalogs,
      );
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'could not tell whether everything in flux has its copies');
      return null;
    }
  }
}

/** Registers `GET /joined`: 200 once the node has joined, before that 503 with what it waits for. Wants no token. */
export function registerJoinRoute(server: FastifyInstance, gate: JoinGate): void {
  server.get('/joined', async (_request, reply) => {
    const waitsFor = await gate.waitsFor();
    if (waitsFor === null) return { status: 'joined' };
    return reply.code(503).send({ status: 'joining', error: waitsFor });
  });
}
