import type { Database, GroupList, ShardGroup } from '../../core/catalog/types.js';
import type { GroupId } from '../../core/model/batch.js';
import { AssertionError } from '../../core/std/assert.js';
import { errorMessage, isVarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { type Hold, notFenced, stampOf } from '../fencing.js';
import type { CompactorMetrics } from '../metrics.js';
import { describeExceptions } from './agree-on-content.js';
import { GroupReleaser } from './group-releaser.js';
import { LostOwners } from './lost-owners.js';
import { type SealGroupTools, sealGroup } from './seal-group.js';

export interface SealerOptions extends SealGroupTools {
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  /** How long an owner keeps a sealed group for queries that were planned before it was sealed. */
  readonly releaseGraceMs: number;
}

/** A group that was sealed in a round. */
export interface SealedGroup {
  readonly group: GroupId;
  readonly kind: ShardGroup['kind'];
  readonly startNs: bigint | null;
  readonly endNs: bigint | null;
  readonly tables: number;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Nodes that could not be asked, in words; null when all were. */
  readonly exception: string | null;
}

/** A group that is closing and could not be sealed yet, and why. */
export interface WaitingGroup {
  readonly group: GroupId;
  readonly closedMs: number;
  readonly reason: string;
}

export interface SealRound {
  readonly sealed: readonly SealedGroup[];
  readonly waiting: readonly WaitingGroup[];
  readonly list: GroupList;
}

/** Drives the groups of databases from open to gone. One round at a time a database; the caller sees to that. */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #releaser: GroupReleaser;
  readonly #lostOwners: LostOwners;
  /** Why the first closing group of a database could not be sealed, as of the last round. */
  readonly #reasons = new Map<string, WaitingGroup>();

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#releaser = new GroupReleaser(options);
    this.#lostOwners = new LostOwners(options);
  }

  /** Why a closing group waits, as the last round found; undefined when none waited then. */
  reasonOf(database: string, group: GroupId): string | undefined {
    const waiting = this.#reasons.get(database);
    return waiting === undefined || waiting.group === group ? waiting?.reason : waitsFor(waiting);
  }

  /**
   * Closes what is due (with `throughNs`: all that ends at or before it, too), seals what is closing in the order of
   * closing, moves the watermark and lets owners go. A group that cannot be sealed keeps the later ones waiting, so that the order of sealing
   * stays the order of precedence. Throws `fenced` when another compactor has taken over.
   */
  async round(database: Database, hold: Hold, throughNs: bigint | null = null): Promise<SealRound> {
    const { catalog, clock } = this.#options;
    await this.#close(database, hold, throughNs);
    await this.#replaceLost(database, hold);
    const closing = (await catalog.groups.get(database, hold.signal)).value.groups
      .filter((group) => group.state === 'closing')
      .sort((left, right) => (left.closeSequence ?? 0) - (right.closeSequence ?? 0));
    const sealed: SealedGroup[] = [];
    let waiting: WaitingGroup | null = null;
    for (const group of closing) {
      hold.signal.throwIfAborted();
      const result = await this.#seal(database, group, hold);
      if (result.kind === 'waiting') {
        waiting = { group: group.id, closedMs: group.closedMs ?? clock.nowMs(), reason: result.reason };
        break;
      }
      sealed.push(result.sealed);
    }
    const advanced = await catalog.groups.advanceWatermark(database, stampOf(clock, hold), hold.signal);
    notFenced(advanced.outcome, `moving the watermark of "${database.name}"`, hold);
    const list = advanced.list.value;
    this.#show(database, list, waiting);
    await this.#releaser.round(database, list, hold);
    return { sealed, waiting: waitingGroups(list, waiting), list };
  }

  /** What fails here is tried again in the next round: it must not keep from sealing. */
  async #replaceLost(database: Database, hold: Hold): Promise<void> {
    const { catalog, logger, metrics } = this.#options;
    try {
      const list = (await catalog.groups.get(database, hold.signal)).value;
      await this.#lostOwners.round(database, list, hold);
    } catch (error) {
      hold.signal.throwIfAborted();
      if (!isVarveError(error) || error.kind === 'fenced') throw error;
      metrics.failed('replace', database.name);
      logger.warn({ database: database.name, error: error.message }, 'could not replace lost owners');
    }
  }

  async #close(database: Database, hold: Hold, throughNs: bigint | null): Promise<void> {
    const { catalog, clock } = this.#options;
    const doing = `closing groups of "${database.name}"`;
    const stamp = stampOf(clock, hold);
    const answer =
      throughNs === null
        ? await catalog.groups.closeDue(database, stamp, hold.signal)
        : await catalog.groups.closeThrough(database, throughNs, stamp, hold.signal);
    notFenced(answer.outcome, doing, hold);
    const full: GroupId[] = [];
    for (const group of answer.list.value.groups) {
      if (group.state === 'open' && (await this.#isFull(database, group, hold))) full.push(group.id);
    }
    if (full.length === 0) return;
    const closed = await catalog.groups.close(database, full, stampOf(clock, hold), hold.signal);
    notFenced(closed.outcome, doing, hold);
  }

  /** Whether a late or ahead group holds as many bytes as it may; a node that cannot be asked says nothing. */
  async #isFull(database: Database, group: ShardGroup, hold: Hold): Promise<boolean> {
    if (group.kind === 'window') return false;
    let bytes = 0;
    for (const { owners } of group.shards) {
      const [owner] = owners;
      if (owner === undefined) continue;
      try {
        const report = await this.#options.peers(owner).reportGroup(database.id, group.id, hold.signal);
        bytes = Math.max(bytes, report.bytes);
      } catch (error) {
        hold.signal.throwIfAborted();
        this.#options.logger.debug(
          { database: database.name, group: group.id, owner, error: errorMessage(error) },
          'could not ask the size of a group',
        );
      }
    }
    return bytes >= database.lateBytesMax;
  }

  async #seal(
    database: Database,
    group: ShardGroup,
    hold: Hold,
  ): Promise<{ kind: 'sealed'; sealed: SealedGroup } | { kind: 'waiting'; reason: string }> {
    const { clock, metrics, logger } = this.#options;
    const startedMs = clock.monotonicMs();
    const about = { database: database.name, group: group.id, kind: group.kind };
    try {
      const onCatchUp = (batches: number): void => metrics.caughtUp(database.name, batches);
      const result = await sealGroup(database, group, { ...this.#options, onCatchUp }, hold);
      if (result.kind === 'waiting') {
        // Said once a reason, not once a round.
        if (this.reasonOf(database.name, group.id) !== result.reason) {
          logger.warn({ ...about, reason: result.reason }, 'a closed group waits for its owners');
        }
        return result;
      }
      const seconds = (clock.monotonicMs() - startedMs) / 1000;
      metrics.sealed(database.name, result.rows, result.bytes, seconds);
      const { tables, files, rows, bytes } = result;
      logger.info({ ...about, tables, files, rows, bytes, seconds }, 'sealed a group');
      const exception = result.exceptions.length === 0 ? null : describeExceptions(result.exceptions);
      if (exception !== null) {
        metrics.sealedWithException(database.name);
        logger.warn(
          { ...about, exception },
          'sealed a group without asking all its nodes; what only they hold comes late',
        );
      }
      if (result.gone > 0) {
        logger.error(
          { ...about, batches: result.gone },
          'sealed a group without batches that its owners had agreed on: every node that held them is lost',
        );
      }
      const { id, kind, startNs, endNs } = group;
      const sealed = { group: id, kind, startNs, endNs, tables, files, rows, bytes, exception };
      return { kind: 'sealed', sealed };
    } catch (error) {
      hold.signal.throwIfAborted();
      if (isVarveError(error, 'fenced') || error instanceof AssertionError) throw error;
      metrics.failed('seal', database.name);
      const reason = errorMessage(error);
      logger.error({ ...about, error: reason }, 'could not seal a group; it stays closing');
      return { kind: 'waiting', reason };
    }
  }

  #show(database: Database, list: GroupList, waiting: WaitingGroup | null): void {
    if (waiting === null) this.#reasons.delete(database.name);
    else this.#reasons.set(database.name, waiting);
    const closedMs = list.groups
      .filter((group) => group.state === 'closing')
      .map((group) => group.closedMs ?? Number.POSITIVE_INFINITY);
    const oldestMs = closedMs.length === 0 ? 0 : this.#options.clock.nowMs() - Math.min(...closedMs);
    this.#options.metrics.waiting(database.name, closedMs.length, Math.max(0, oldestMs) / 1000);
    this.#options.metrics.settledThrough(database.name, Number(list.settledThroughNs / 1_000_000n) / 1000);
  }
}

function waitsFor(first: WaitingGroup): string {
  return `group ${first.group} closed earlier and is sealed first: ${first.reason}`;
}

function waitingGroups(list: GroupList, first: WaitingGroup | null): WaitingGroup[] {
  return list.groups
    .filter((group) => group.state === 'closing')
    .map((group) => ({
      group: group.id,
      closedMs: group.closedMs ?? 0,
      reason:
        first === null || group.id === first.group
          ? (first?.reason ?? 'it was closed just now')
          : waitsFor(first),
    }));
}
