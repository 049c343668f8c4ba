import type { GroupId } from '../../core/model/batch.js';
import type {
  ConflictList,
  ConflictReader,
  ConflictRequest,
  FieldConflict,
  KeptConflictRequest,
} from '../../core/ports/conflict-reader.js';
import { VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { type ConflictSearch, findConflicts } from './find-conflicts.js';
import type { HotGroup } from './hot-group.js';
import type { HotTier } from './hot-tier.js';

/** Conflicts of groups that have gone to history which this node remembers: some hundreds of bytes each. */
const keptMax = 1000;

export interface HotConflictsOptions {
  readonly tier: HotTier;
  /** Lets other work of the event loop go first. */
  readonly giveWay: () => Promise<void>;
  readonly logger: Logger;
}

interface Kept {
  readonly database: string;
  readonly conflict: FieldConflict;
}

/**
 * Conflicts of this node: those of groups that it holds are found when they are asked for, of those that it lets go
 * the latest are kept in memory, until the process ends.
 */
export class HotConflicts implements ConflictReader {
  readonly #tier: HotTier;
  readonly #giveWay: () => Promise<void>;
  readonly #logger: Logger;
  /** Oldest first. */
  #kept: Kept[] = [];
  /** Databases of which something was kept and forgotten again. */
  readonly #forgotten = new Set<string>();

  constructor(options: HotConflictsOptions) {
    this.#tier = options.tier;
    this.#giveWay = options.giveWay;
    this.#logger = options.logger;
  }

  async conflicts(request: ConflictRequest, signal?: AbortSignal): Promise<ConflictList> {
    const { database, group, conflictsMax, only } = request;
    const held = this.#tier.find(database, group);
    if (held === 'unknown') return { conflicts: [], isCut: false };
    if (held === 'dropped') {
      throw new VarveError(
        'not-found',
        `finding conflicts in group ${group} of database "${database}": it is not in the hot tier any more; want a new plan`,
      );
    }
    const conflicts: FieldConflict[] = [];
    let isCut = false;
    const wanted = (): 'list' | 'stop' => {
      isCut = conflicts.length >= conflictsMax;
      return isCut ? 'stop' : 'list';
    };
    const list = (conflict: FieldConflict): void => void conflicts.push(conflict);
    await this.#search(held, only, { wanted, list }, signal);
    return { conflicts, isCut };
  }

  async keptConflicts({ database, conflictsMax }: KeptConflictRequest): Promise<ConflictList> {
    const all = this.#kept.filter((kept) => kept.database === database).map(({ conflict }) => conflict);
    const conflicts = all.reverse().slice(0, conflictsMax);
    return { conflicts, isCut: all.length > conflictsMax || this.#forgotten.has(database) };
  }

  /** Remembers conflicts of a group that is about to be dropped, and counts them all. Never fails: dropping goes on. */
  async keep(database: string, group: GroupId): Promise<void> {
    try {
      await this.#keep(database, group);
    } catch (error) {
      this.#forgotten.add(database);
      this.#logger.warn(
        { database, group, err: error },
        'could not look for conflicts in a group that is dropped',
      );
    }
  }

  async #keep(database: string, group: GroupId): Promise<void> {
    const held = this.#tier.find(database, group);
    if (typeof held === 'string') return;
    const kept: Kept[] = [];
    let count = 0;
    await this.#search(held, undefined, {
      wanted: () => (++count <= keptMax ? 'list' : 'count'),
      list: (conflict) => void kept.push({ database, conflict }),
    });
    this.#tier.metrics.keptConflicts(count);
    if (count > kept.length) this.#forgotten.add(database);
    const all = [...this.#kept, ...kept];
    for (const { database: forgotten } of all.slice(0, -keptMax)) this.#forgotten.add(forgotten);
    this.#kept = all.slice(-keptMax);
  }

  async #search(
    group: HotGroup,
    only: readonly number[] | undefined,
    { wanted, list }: Pick<ConflictSearch, 'wanted' | 'list'>,
    signal?: AbortSignal,
  ): Promise<void> {
    let isWanted = true;
    const wantedStill = (): ReturnType<typeof wanted> => {
      const verdict = wanted();
      isWanted = verdict !== 'stop';
      return verdict;
    };
    const giveWay = async (): Promise<void> => {
      await this.#giveWay();
      signal?.throwIfAborted();
    };
    for (const chunk of group.chunks()) {
      if (!isWanted) return;
      if (only !== undefined && !only.includes(chunk.shard)) continue;
      await findConflicts({ chunk, group: group.id, wanted: wantedStill, list, giveWay });
    }
  }
}
