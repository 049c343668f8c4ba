import type { GroupId, NodeId } from '../model/batch.js';
import { assert } from '../std/assert.js';
import { closeDueGroups, closeGroups, closeThrough } from './close-group.js';
import { groupListCodec } from './group-codec.js';
import { checkGroupTransition, findGroup, type GroupSettings, initialGroupList } from './group-list.js';
import { groupsKey } from './keys.js';
import { type OpenRequest, type OpenWindowOutcome, openSpillGroup, openWindowGroup } from './open-group.js';
import { type CatalogPorts, databasesRememberedMax, type RecordCodec, RecordStore } from './record-store.js';
import {
  type FilledOwner,
  type OwnerReplacement,
  type ReplaceOutcome,
  replaceLostOwners,
  withFilledOwner,
} from './replace-owners.js';
import {
  type AgreedContent,
  advanceWatermark,
  agreeOnGroup,
  type ReleaseOutcome,
  releaseGroup,
  type SealOutcome,
  sealGroup,
} from './seal-group.js';
import { truncateGroups } from './truncate-groups.js';
import type { GroupKind, GroupList, SequenceRange, ShardGroup, Versioned } from './types.js';

/** A compactor with a higher epoch has changed the list: the caller has lost its lease and must stop. */
export interface Fenced {
  readonly kind: 'fenced';
  readonly by: number;
}

/** What came of a request, with the list as it now stands. */
export interface GroupAnswer<R> {
  readonly outcome: R;
  readonly list: Versioned<GroupList>;
}

/** When a compactor acts, and with which fencing epoch. */
export interface CompactorStamp {
  readonly nowMs: number;
  readonly epoch: number;
}

/** `groups`: those that this call moved from open to closing. */
export type CloseOutcome = { readonly kind: 'closed'; readonly groups: readonly ShardGroup[] } | Fenced;
export type WatermarkOutcome = { readonly kind: 'at'; readonly settledThroughNs: bigint } | Fenced;

/**
 * The groups in flux of each database. Every method is one compare-and-set at most, is safe to repeat, and leaves
 * the list alone when it has nothing to change. A broken invariant throws AssertionError, before anything is written.
 */
export class GroupCatalog {
  readonly #records: RecordStore;
  /** The last list decoded of each database, because queries read the list far more often than it changes. */
  readonly #decoded = new Map<string, { readonly text: string; readonly list: GroupList }>();
  readonly #codec: RecordCodec<GroupList> = {
    encode: groupListCodec.encode,
    decode: (key, text) => {
      const known = this.#decoded.get(key);
      if (known?.text === text) return known.list;
      const list = groupListCodec.decode(key, text);
      if (this.#decoded.size >= databasesRememberedMax) this.#decoded.clear();
      this.#decoded.set(key, { text, list });
      return list;
    },
  };

  constructor(ports: CatalogPorts) {
    this.#records = new RecordStore(ports);
  }

  /** The list as it is now; version 0 when the database has had no group yet. */
  async get(database: GroupSettings, signal?: AbortSignal): Promise<Versioned<GroupList>> {
    const record = await this.#records.read(groupsKey(database.id), this.#codec, signal);
    return record ?? { value: initialGroupList(database), version: 0 };
  }

  /** The open group of the window, or the part of a cut one, that contains the instant; made if it is open and has none. */
  openWindowGroup(
    database: GroupSettings,
    timeNs: bigint,
    request: OpenRequest,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<OpenWindowOutcome>> {
    return this.#change(database, signal, (list) => openWindowGroup(list, database, timeNs, request));
  }

  /** The open late or ahead group, made if there is none. */
  openSpillGroup(
    database: GroupSettings,
    kind: Exclude<GroupKind, 'window'>,
    request: OpenRequest,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<ShardGroup>> {
    return this.#change(database, signal, (list) => {
      const opened = openSpillGroup(list, database, kind, request);
      return { list: opened.list, outcome: opened.group };
    });
  }

  /** Closes the open groups whose time has come. */
  closeDue(
    database: GroupSettings,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<CloseOutcome>> {
    return this.#close(database, stamp, signal, (list) => closeDueGroups(list, stamp.nowMs));
  }

  /** Closes those of the groups that are open (and an open ahead group along with a late one). */
  close(
    database: GroupSettings,
    ids: readonly GroupId[],
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<CloseOutcome>> {
    return this.#close(database, stamp, signal, (list) => closeGroups(list, ids, stamp.nowMs));
  }

  /**
   * Closes before their time the groups of windows that end at or before `beforeNs` and all late and ahead groups,
   * and gives up the windows up to there that have no group, so that the watermark can pass them once all is sealed.
   */
  closeThrough(
    database: GroupSettings,
    beforeNs: bigint,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<CloseOutcome>> {
    return this.#close(database, stamp, signal, (list) =>
      closeThrough(list, database, beforeNs, stamp.nowMs),
    );
  }

  /** Writes down what the group that is next to seal holds, before anything of it is committed. */
  agree(
    database: GroupSettings,
    id: GroupId,
    content: AgreedContent,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<SealOutcome | Fenced>> {
    return this.#fenced(database, stamp, signal, (list) => agreeOnGroup(list, id, content));
  }

  /** Puts other nodes in the place of owners that were declared lost; see replaceLostOwners. */
  replaceLost(
    database: GroupSettings,
    replacement: OwnerReplacement,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<ReplaceOutcome | Fenced>> {
    return this.#fenced(database, stamp, signal, (list) => replaceLostOwners(list, replacement));
  }

  /** The owner that took a lost one's place holds all of the shard now: it counts from here on. */
  filled(
    database: GroupSettings,
    id: GroupId,
    owner: FilledOwner,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<{ readonly kind: 'filled' } | Fenced>> {
    return this.#fenced<{ readonly kind: 'filled' }>(database, stamp, signal, (list) => ({
      list: withFilledOwner(list, id, owner),
      outcome: { kind: 'filled' },
    }));
  }

  /** Cuts off at now, and closes, the open group of the window that contains now; see truncateGroups. */
  truncate(
    database: GroupSettings,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<CloseOutcome>> {
    return this.#close(database, stamp, signal, (list) => truncateGroups(list, stamp.nowMs));
  }

  /**
   * Closing → sealed, for the group that closed first among those not sealed. The watermark moves with it: one write
   * where two would follow each other.
   */
  seal(
    database: GroupSettings,
    id: GroupId,
    sealedBatches: readonly SequenceRange[],
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<SealOutcome | Fenced>> {
    return this.#fenced(database, stamp, signal, (list) => {
      const { list: sealed, outcome } = sealGroup(list, id, sealedBatches, stamp.nowMs);
      return { list: sealed && advanceWatermark(sealed, database, stamp.nowMs), outcome };
    });
  }

  /** Notes that these owners hold no batch of a sealed group any more. */
  release(
    database: GroupSettings,
    id: GroupId,
    nodes: readonly NodeId[],
    signal?: AbortSignal,
  ): Promise<GroupAnswer<ReleaseOutcome>> {
    return this.#change(database, signal, (list) => releaseGroup(list, id, nodes));
  }

  /** Moves the watermark as far as sealed and empty windows reach. */
  advanceWatermark(
    database: GroupSettings,
    stamp: CompactorStamp,
    signal?: AbortSignal,
  ): Promise<GroupAnswer<WatermarkOutcome>> {
    return this.#fenced<WatermarkOutcome>(database, stamp, signal, (list) => {
      const next = advanceWatermark(list, database, stamp.nowMs);
      return { list: next, outcome: { kind: 'at', settledThroughNs: next.settledThroughNs } };
    });
  }

  #close(
    database: GroupSettings,
    stamp: CompactorStamp,
    signal: AbortSignal | undefined,
    transition: (list: GroupList) => GroupList,
  ): Promise<GroupAnswer<CloseOutcome>> {
    return this.#fenced<CloseOutcome>(database, stamp, signal, (list) => {
      const next = transition(list);
      const groups = next.groups.filter(
        (group) => group.state === 'closing' && findGroup(list, group.id)?.state === 'open',
      );
      return { list: next, outcome: { kind: 'closed', groups } };
    });
  }

  /** A change by a compactor: refused when a higher epoch has been here, and it leaves its own. */
  #fenced<R>(
    database: GroupSettings,
    stamp: CompactorStamp,
    signal: AbortSignal | undefined,
    transition: (list: GroupList) => { readonly list: GroupList | undefined; readonly outcome: R },
  ): Promise<GroupAnswer<R | Fenced>> {
    return this.#change<R | Fenced>(database, signal, (list) => {
      if (stamp.epoch < list.fencingEpoch) {
        return { list: undefined, outcome: { kind: 'fenced', by: list.fencingEpoch } };
      }
      const decision = transition(list);
      if (decision.list === undefined || decision.list === list) return { ...decision, list: undefined };
      return { list: { ...decision.list, fencingEpoch: stamp.epoch }, outcome: decision.outcome };
    });
  }

  async #change<R>(
    database: GroupSettings,
    signal: AbortSignal | undefined,
    transition: (list: GroupList) => { readonly list: GroupList | undefined; readonly outcome: R },
  ): Promise<GroupAnswer<R>> {
    const initial = { value: initialGroupList(database), version: 0 };
    const changed = await this.#records.change<GroupList, R>(
      groupsKey(database.id),
      this.#codec,
      (current) => {
        const previous = current?.value ?? initial.value;
        assert(
          previous.database === database.name,
          `groups of ${database.name}: got those of ${previous.database}`,
        );
        const { list, outcome } = transition(previous);
        if (list !== undefined) checkGroupTransition(previous, list);
        return { next: list, outcome };
      },
      signal,
    );
    return { outcome: changed.outcome, list: changed.record ?? initial };
  }
}
