import type { Lease } from '../../core/catalog/types.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { Compactor } from '../compactor.js';

/**
 * Sealing spread over environments of the function, a database each. Within a database groups are sealed one after
 * another, in the order of closing, because that order is the order of precedence; databases know nothing of one another.
 */
export interface FanOut {
  /** Hands an event to the function itself, without waiting for what comes of it. */
  readonly invoke: (event: object, signal: AbortSignal) => Promise<void>;
  readonly random: Random;
  readonly logger: Logger;
}

/** What one environment is asked to do for another. */
export interface SealOrder {
  readonly database: string;
  /** That of the turn that asks; whoever works under it renews it. */
  readonly lease: Lease;
}

const source = 'varve.fan-out';
/** Environments that one turn asks for; what is due beyond them it seals itself. */
const ordersMax = 50;

/**
 * Hands out all databases but one in which something is due, and leaves them alone for this turn: whoever deletes in a
 * database must be the only one that works there under its epoch. Which one is kept is left to chance, so that each
 * comes to be merged and expired however much is due. Answers how many were handed out.
 */
export async function handOut(compactor: Compactor, fanOut: FanOut, signal: AbortSignal): Promise<number> {
  const due = await compactor.dueDatabases();
  if (due === null || due.databases.length < 2) return 0;
  const kept = Math.floor(fanOut.random.next() * due.databases.length);
  const others = due.databases.filter((_, index) => index !== kept).slice(0, ordersMax);
  const handedOut = new Set<string>();
  await Promise.all(
    others.map(async (database) => {
      // Before it is asked for: an answer that is lost may have had its effect.
      handedOut.add(database);
      try {
        await fanOut.invoke({ source, database, lease: due.lease }, signal);
      } catch (error) {
        fanOut.logger.warn(
          { database, error: errorMessage(error) },
          'could not hand out the sealing of a database; the next turn seals it',
        );
      }
    }),
  );
  compactor.restrictTo((database) => !handedOut.has(database));
  return handedOut.size;
}

/** The order that an event is; undefined for any other event. */
export function readSealOrder(event: object): SealOrder | undefined {
  const given = event as Partial<SealOrder> & { readonly source?: unknown };
  if (given.source !== source) return undefined;
  const { database, lease } = given;
  if (typeof database !== 'string' || typeof lease !== 'object' || lease === null) return undefined;
  return { database, lease };
}
