import type { Clock } from '../core/ports/clock.js';
import { errorMessage } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';
import type { IngestCatalog } from './ingest-catalog.js';
import type { LocalOwner } from './replicate/local-owner.js';

const sweepEveryMs = 10_000;

/** Lets go of what a node holds of databases that have been dropped: nothing will ever seal and release it. */
export class DroppedDatabaseSweeper {
  readonly #owner: LocalOwner;
  readonly #catalog: Pick<IngestCatalog, 'databaseById'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: {
    readonly owner: LocalOwner;
    readonly catalog: Pick<IngestCatalog, 'databaseById'>;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#owner = options.owner;
    this.#catalog = options.catalog;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  start(): void {
    this.#loop = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** One look at every database that something is held of. */
  async sweep(): Promise<void> {
    for (const id of this.#owner.databasesHeld()) {
      if ((await this.#catalog.databaseById(id)) !== undefined) continue;
      await this.#owner.dropDatabase(id);
      this.#logger.info({ databaseId: id }, 'let go of what was in flux in a dropped database');
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#clock.sleep(sweepEveryMs, signal);
        await this.sweep();
      } catch (error) {
        // The catalog is out of reach, or this is the end: the next look will do.
        if (!signal.aborted)
          this.#logger.warn({ error: errorMessage(error) }, 'could not look for dropped databases');
      }
    }
  }
}
