import { type Catalogs, openCatalogs } from '../../cli/serve/catalogs.js';
import { openSettledTables } from '../../cli/serve/settled-tables.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import type { DatabaseSettings } from '../../core/catalog/types.js';
import type { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import { AssertionError } from '../../core/std/assert.js';
import { errorMessage } from '../../core/std/errors.js';
import { silentLogger } from '../../core/std/logger.js';
import { CatalogWatch, Violation } from './catalog-watch.js';
import { Ledger } from './ledger.js';
import type { Mutations } from './mutations.js';
import { Network } from './network.js';
import type { NodeService } from './remote-node.js';
import { SimulatedProcess } from './simulated-process.js';
import { SharedStores } from './simulated-stores.js';
import { Timeline } from './timeline.js';
import { Trace } from './trace.js';

/** The one database of the simulation. */
export const database = 'db';

/** What every process of a simulated cluster stands on. */
export class Ground {
  readonly timeline = new Timeline();
  readonly trace = new Trace(this.timeline);
  readonly ledger = new Ledger();
  readonly watch: CatalogWatch;
  readonly stores: SharedStores;
  readonly network: Network<NodeService>;
  readonly settings: DatabaseSettings;
  readonly mutations: Mutations;
  readonly #seed: number;
  #streams = 0;
  #violation: Violation | undefined;

  constructor(seed: number, settings: DatabaseSettings, mutations: Mutations) {
    this.#seed = seed;
    this.settings = settings;
    this.mutations = mutations;
    this.watch = new CatalogWatch(this.trace, (violation) => this.violated(violation));
    this.stores = new SharedStores(this.timeline, this.random(), (item, by) => this.watch.onPut(item, by));
    this.network = new Network(this.timeline, this.random(), this.trace, (name, error) =>
      this.inspect(name, error),
    );
  }

  /** A stream of randomness of its own, so that one part drawing more leaves the others as they were. */
  random(): SeededRandom {
    this.#streams += 1;
    return new SeededRandom(Math.imul(this.#seed, 0x9e3779b1) ^ Math.imul(this.#streams, 0x85ebca6b));
  }

  process(name: string, skewMs = 0): SimulatedProcess {
    return new SimulatedProcess(this.timeline, name, skewMs);
  }

  /** The catalog as the process sees it. */
  catalogsOf(process: SimulatedProcess, store: MetaStore = this.stores.metaOf(process)): Catalogs {
    return openCatalogs({
      store: this.mutations.meta?.(store) ?? store,
      clock: process,
      random: this.random(),
    });
  }

  /** Settled history as the process sees it. */
  settledOf(process: SimulatedProcess, catalogs: Catalogs): SettledTables {
    const objects = this.stores.objectsOf(process);
    return openSettledTables({
      objects,
      catalogs,
      clock: process,
      random: this.random(),
      logger: silentLogger,
    });
  }

  /** The first violation is the one that counts: what comes after may follow from it. */
  violated(violation: Violation): void {
    if (this.#violation !== undefined) return;
    this.#violation = violation;
    this.trace.note(`VIOLATION ${violation.message}`);
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** A process ends itself. */
  fatal(name: string, error: unknown): void {
    this.trace.note(`${name} ends itself: ${errorMessage(error)}`);
    this.inspect(name, error);
  }

  /** Of what may go wrong while faults go on, these must never: failed assertions and errors of no kind. */
  inspect(name: string, error: unknown): void {
    if (error instanceof AssertionError) {
      this.violated(new Violation(`${name} contradicts itself: ${error.message}`));
    } else if (error instanceof TypeError || error instanceof RangeError) {
      this.violated(new Violation(`${name} fails by a defect: ${error.stack ?? error.message}`));
    }
  }
}
