import { isUnderReplicated } from '../../core/catalog/group-list.js';
import type { Database, GroupList, ShardGroup } from '../../core/catalog/types.js';
import { cutsWithinWindows, isSameSpan, spansOf } from '../../core/catalog/window-spans.js';
import type { NodeId, ShardAddress } from '../../core/model/batch.js';
import type { TableRows } from '../../core/model/columns.js';
import type { Window } from '../../core/model/window.js';
import type { Clock } from '../../core/ports/clock.js';
import { assert } from '../../core/std/assert.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import type { IngestCatalog } from '../ingest-catalog.js';
import { ahead, assignRows, behind, openWindows } from './assign-rows.js';
import { partitionRows } from './partition-rows.js';
import { shardRows } from './shard-of.js';

/** Rows that go to one shard, and who owns it. */
export interface ShardRows {
  readonly address: ShardAddress;
  readonly owners: readonly NodeId[];
  /** Owners that the database wants of a shard; more than there are while too few nodes live. Levels count by it. */
  readonly replication: number;
  readonly tables: readonly TableRows[];
}

/** A group list with the instants at which it cuts windows. */
interface RememberedList {
  readonly list: GroupList;
  readonly cuts: readonly bigint[];
  /** By the monotonic clock. */
  readonly readMs: number;
  readonly keptMs: number;
}

/** Owners of a group change when one of them is declared lost; no refusal tells that, so lists are read again at times. */
const rememberedMs = 10_000;
/** The same where a group has too few owners: no write meets its level until it has more, which are soon found. */
const rememberedShortMs = 1000;
/** How long a write waits for a list to be read again where it is known. */
const patienceMs = 1000;
/** How often rows are parted anew because a window was cut meanwhile, which an operator asks for. */
const attemptsMax = 8;

/**
 * Assigns rows to shard groups by time and to shards by series. Group lists are remembered; what is remembered may
 * be stale, so an owner has the last word: one that answers `closed` makes the caller forget and route again.
 */
export class Router {
  readonly #catalog: IngestCatalog;
  readonly #clock: Clock;
  readonly #lists = new Map<string, RememberedList>();
  readonly #opening = new Map<string, Promise<ShardGroup>>();
  /** Before this the catalog is not asked for lists that are known: it did not answer. By the monotonic clock. */
  #askAgainMs = Number.NEGATIVE_INFINITY;

  constructor(options: { readonly catalog: IngestCatalog; readonly clock: Clock }) {
    this.#catalog = options.catalog;
    this.#clock = options.clock;
  }

  /** Drops what is remembered of the database's groups. */
  forget(database: Database): void {
    this.#lists.delete(database.id);
  }

  /** Parts the rows by shard; creates groups where rows need them. */
  async route(database: Database, tables: readonly TableRows[]): Promise<ShardRows[]> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const routed = await this.#tryRoute(database, tables);
      if (routed !== 'stale') return routed;
    }
    throw new VarveError(
      'unavailable',
      `route rows of "${database.name}": windows were cut ${attemptsMax} times meanwhile; want them to stay a moment`,
      { retryAfterSeconds: 1 },
    );
  }

  /** `stale`: a window was cut since the list was read; rows on both sides of the cut need another place each. */
  async #tryRoute(database: Database, tables: readonly TableRows[]): Promise<ShardRows[] | 'stale'> {
    const { list, cuts } = await this.#groups(database);
    const { windowMs, graceMs } = database;
    const windows = openWindows(this.#clock.nowMs(), windowMs, graceMs, oldestOpenNs(list));
    const spans = spansOf(windows, cuts);
    const { replication } = database;
    const byShard = new Map<string, ShardRows & { readonly tables: TableRows[] }>();
    for (const rows of tables) {
      for (const [target, part] of partitionRows(rows, assignRows(rows, spans))) {
        const group = await this.#groupFor(database, list, target, spans[target]);
        if (group === 'stale') return 'stale';
        for (const [shard, shardPart] of partitionRows(
          part.rows,
          shardRows(part.rows, group.shards.length),
        )) {
          const key = `${group.id}/${shard}`;
          let entry = byShard.get(key);
          if (entry === undefined) {
            const address = { database: database.id, group: group.id, shard };
            entry = { address, owners: group.shards[shard]?.owners ?? [], replication, tables: [] };
            byShard.set(key, entry);
          }
          entry.tables.push(shardPart.rows);
        }
      }
    }
    return [...byShard.values()];
  }

  /** The open late group, made if there is none. What is remembered of it may be stale, as for route(). */
  lateGroup(database: Database): Promise<ShardGroup> {
    return this.#spillGroup(database, 'late');
  }

  async #groupFor(
    database: Database,
    list: GroupList,
    target: number,
    span: Window | undefined,
  ): Promise<ShardGroup | 'stale'> {
    if (target === behind) return this.#spillGroup(database, 'late');
    if (target === ahead) return this.#spillGroup(database, 'ahead');
    assert(span !== undefined, `route: there is no span ${target}`);
    const known = list.groups.find((group) => group.startNs === span.startNs);
    if (known?.state === 'open') return known;
    // What has been given up stays so: the catalog need not be asked.
    if (known !== undefined || span.startNs < list.openFromNs) return this.#spillGroup(database, 'late');
    const outcome = await this.#catalog.openWindowGroup(database, span.startNs);
    this.forget(database);
    if (!isSameSpan(outcome.span, span)) return 'stale';
    if (outcome.kind === 'open') return outcome.group;
    return this.#spillGroup(database, outcome.reason === 'ahead' ? 'ahead' : 'late');
  }

  async #spillGroup(database: Database, kind: 'late' | 'ahead'): Promise<ShardGroup> {
    const { list } = await this.#groups(database);
    const known = list.groups.find((group) => group.kind === kind && group.state === 'open');
    if (known !== undefined) return known;
    const key = `${kind}/${database.id}`;
    const running = this.#opening.get(key);
    if (running !== undefined) return running;
    const opening = this.#catalog.openSpillGroup(database, kind).finally(() => {
      this.#opening.delete(key);
      this.forget(database);
    });
    this.#opening.set(key, opening);
    return opening;
  }

  async #groups(database: Database): Promise<RememberedList> {
    const known = this.#lists.get(database.id);
    const nowMs = this.#clock.monotonicMs();
    if (known !== undefined && nowMs - known.readMs < known.keptMs) return known;
    if (known !== undefined && nowMs < this.#askAgainMs) return known;
    let list: GroupList;
    try {
      list = await withinPatience(this.#catalog.groupList(database), known !== undefined, this.#clock);
    } catch (error) {
      if (known === undefined || !isVarveError(error, 'unavailable', 'timeout')) throw error;
      // The catalog is away: owners have the last word on a group anyway. Asked again in a while, not by every write.
      this.#askAgainMs = nowMs + rememberedMs;
      return known;
    }
    const isShort = list.groups.some((group) => group.state === 'open' && isUnderReplicated(group, database));
    const remembered = {
      list,
      cuts: cutsWithinWindows(list, database.windowMs),
      readMs: nowMs,
      keptMs: isShort ? rememberedShortMs : rememberedMs,
    };
    this.#lists.set(database.id, remembered);
    return remembered;
  }
}

/** Where the oldest window group that is open begins; null when none is open. */
function oldestOpenNs({ groups }: GroupList): bigint | null {
  let oldest: bigint | null = null;
  for (const { state, startNs } of groups) {
    if (state === 'open' && startNs !== null && (oldest === null || startNs < oldest)) oldest = startNs;
  }
  return oldest;
}

/** The answer; where there is something to fall back on, `timeout` if it takes longer than `patienceMs`. */
async function withinPatience<Answer>(
  asking: Promise<Answer>,
  hasFallback: boolean,
  clock: Clock,
): Promise<Answer> {
  if (!hasFallback) return asking;
  asking.catch(() => {});
  const answered = new AbortController();
  const patience = clock.sleep(patienceMs, answered.signal).then(() => {
    throw new VarveError('timeout', `reading a group list: no answer within ${patienceMs} ms`);
  });
  patience.catch(() => {});
  try {
    return await Promise.race([asking, patience]);
  } finally {
    answered.abort();
  }
}
