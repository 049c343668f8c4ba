import { ownersOf } from '../../core/catalog/group-list.js';
import type { Database, GroupList, NodeRecord, ShardGroup } from '../../core/catalog/types.js';
import { batchIdText, type GroupId, type NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { ReleaseResult } from '../../core/ports/peer.js';
import { errorMessage, isVarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import type { Hold } from '../fencing.js';
import type { CompactorMetrics } from '../metrics.js';
import type { PeerLookup } from './seal-group.js';

export interface GroupReleaserOptions {
  readonly catalog: CompactorCatalog;
  readonly peers: PeerLookup;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  readonly releaseGraceMs: number;
}

/**
 * Lets owners drop the batches of sealed groups, after a grace that outlasts the queries which were planned to read
 * them, and takes groups that have left the list out of the tables' records.
 */
export class GroupReleaser {
  readonly #options: GroupReleaserOptions;
  /** When a group named by some table was first seen to be missing from the list, by database. */
  readonly #goneMs = new Map<string, Map<GroupId, number>>();
  /** Databases whose tables may name groups that have gone; all are looked at once after a start. */
  readonly #checked = new Set<string>();

  constructor(options: GroupReleaserOptions) {
    this.#options = options;
  }

  async round(database: Database, list: GroupList, hold: Hold): Promise<void> {
    const { catalog, clock, releaseGraceMs } = this.#options;
    // A window group may stay, released by all, until the watermark passes it.
    const held = list.groups.filter(
      (group) => group.state === 'sealed' && group.released.length < ownersOf(group).length,
    );
    const nodes = held.length === 0 ? [] : await catalog.nodes.list(hold.signal);
    const handingOver = nodes.filter(({ handsOver }) => handsOver === true).map(({ node }) => node);
    for (const group of held) {
      const isRipe = group.sealedMs !== null && clock.nowMs() - group.sealedMs >= releaseGraceMs;
      // A node that is about to go cannot wait for queries; those that still want it are planned again.
      const owners = isRipe
        ? ownersOf(group)
        : ownersOf(group).filter((owner) => handingOver.includes(owner));
      if (owners.length > 0) await this.#release(database, group, owners, nodes, hold);
    }
    if (!this.#checked.has(database.name) || this.#goneMs.has(database.name)) {
      await this.#forgetGone(database, hold);
    }
  }

  async #release(
    database: Database,
    group: ShardGroup,
    owners: readonly NodeId[],
    nodes: readonly NodeRecord[],
    hold: Hold,
  ): Promise<void> {
    const { logger, metrics } = this.#options;
    const released: NodeId[] = [];
    for (const owner of owners) {
      if (group.released.includes(owner)) continue;
      const about = { database: database.name, group: group.id, owner };
      try {
        const isLost = nodes.some(({ node, state }) => node === owner && state === 'lost');
        const result: ReleaseResult = isLost
          ? { kind: 'released' }
          : await this.#letGo(database, group, owner, hold);
        if (result.kind === 'kept') {
          logger.warn(
            {
              ...about,
              batches: result.notSealed.slice(0, 10).map(batchIdText),
              count: result.notSealed.length,
            },
            'an owner holds batches that history lacks and cannot route them to the late group yet',
          );
          continue;
        }
        released.push(owner);
      } catch (error) {
        hold.signal.throwIfAborted();
        if (!isVarveError(error)) throw error;
        metrics.failed('release', database.name);
        logger.warn(
          { ...about, error: errorMessage(error) },
          'could not release a sealed group; it is tried again',
        );
      }
    }
    if (released.length > 0) await this.#note(database, group, released, hold);
  }

  /** One write for all that let go; those of which it fails to be noted are asked again, which does no harm. */
  async #note(database: Database, group: ShardGroup, released: readonly NodeId[], hold: Hold): Promise<void> {
    const { catalog, logger, metrics } = this.#options;
    try {
      await catalog.groups.release(database, group.id, released, hold.signal);
      this.#checked.delete(database.name);
    } catch (error) {
      hold.signal.throwIfAborted();
      if (!isVarveError(error)) throw error;
      metrics.failed('release', database.name);
      logger.warn(
        { database: database.name, group: group.id, released, error: error.message },
        'could not note who released a sealed group; it is tried again',
      );
    }
  }

  /** The owner drops the group. One that could not be told to close it, when it was sealed, is told first. */
  async #letGo(database: Database, group: ShardGroup, owner: NodeId, hold: Hold): Promise<ReleaseResult> {
    const peer = this.#options.peers(owner);
    const sealed = group.sealedBatches ?? [];
    try {
      return await peer.releaseGroup(database.id, group.id, sealed, hold.signal);
    } catch (error) {
      if (!isVarveError(error, 'conflict')) throw error;
    }
    await peer.closeGroup(database.id, group.id, hold.signal);
    return peer.releaseGroup(database.id, group.id, sealed, hold.signal);
  }

  /**
   * A query reads the list first and the tables' records then. One that still saw a group in the list must find it
   * in the record, so a record forgets a group only some time after the list has.
   */
  async #forgetGone(database: Database, hold: Hold): Promise<void> {
    const { catalog, clock, releaseGraceMs } = this.#options;
    const tables = await catalog.tables.list(database.name, hold.signal);
    const { groups } = (await catalog.groups.get(database, hold.signal)).value;
    const listed = new Set(groups.map((group) => group.id));
    const before = this.#goneMs.get(database.name) ?? new Map<GroupId, number>();
    const gone = new Map<GroupId, number>();
    for (const { value: record } of tables) {
      const missing = record.sealedGroups.filter((group) => !listed.has(group));
      for (const group of missing) gone.set(group, before.get(group) ?? clock.nowMs());
      const ripe = missing.filter((group) => clock.nowMs() - (gone.get(group) ?? 0) >= releaseGraceMs);
      if (ripe.length === 0) continue;
      await catalog.tables.forgetGroups(database.name, record.table, ripe, hold.signal);
    }
    const left = [...gone].filter(([, sinceMs]) => clock.nowMs() - sinceMs < releaseGraceMs);
    this.#checked.add(database.name);
    if (left.length === 0) this.#goneMs.delete(database.name);
    else this.#goneMs.set(database.name, new Map(left));
  }
}
