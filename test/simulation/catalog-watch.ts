import { groupListCodec } from '../../core/catalog/group-codec.js';
import { catalogPrefixes } from '../../core/catalog/keys.js';
import { leaseCodec } from '../../core/catalog/lease-catalog.js';
import { tableCodec } from '../../core/catalog/table-codec.js';
import type { GroupList, ShardGroup } from '../../core/catalog/types.js';
import type { GroupId } from '../../core/model/batch.js';
import type { MetaItem } from '../../core/ports/meta-store.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Trace } from './trace.js';

/** Something happened that must never happen. */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

/**
 * Reads every change of the catalog as it is made and holds it against the invariants that concern the catalog
 * alone: the watermark (6), fencing (7), and that a sealed group never changes (5).
 */
export class CatalogWatch {
  /** Every group that ever was, as last seen; those that have left the list too. */
  readonly groups = new Map<GroupId, ShardGroup>();
  /** Of the only database, once it has had a group. */
  databaseId = '';
  readonly #trace: Trace;
  readonly #fail: (violation: Violation) => void;
  #list: GroupList | undefined;
  /** By process: the highest epoch under which it was given the lease. */
  readonly #epochs = new Map<string, number>();
  /** By key: the highest true epoch that has committed. */
  readonly #committed = new Map<string, number>();

  constructor(trace: Trace, fail: (violation: Violation) => void) {
    this.#trace = trace;
    this.#fail = fail;
  }

  /** The list of groups as it is now. */
  get list(): GroupList | undefined {
    return this.#list;
  }

  onPut(item: MetaItem, by: SimulatedProcess): void {
    if (item.key.startsWith(catalogPrefixes.groups)) this.#onGroups(item, by);
    else if (item.key.startsWith(catalogPrefixes.table)) this.#onTable(item, by);
    else if (item.key.startsWith(catalogPrefixes.lease)) this.#onLease(item, by);
    else this.#trace.note(`${by.name} puts ${item.key}`);
  }

  #onLease(item: MetaItem, by: SimulatedProcess): void {
    const lease = leaseCodec.decode(item.key, item.value);
    this.#trace.note(`${by.name} puts the lease of ${lease.holder}, epoch ${lease.epoch}`);
    if (lease.holder.startsWith(by.name)) this.#epochs.set(by.name, lease.epoch);
  }

  #onGroups(item: MetaItem, by: SimulatedProcess): void {
    const list = groupListCodec.decode(item.key, item.value);
    const before = this.#list;
    this.databaseId = item.key.slice(catalogPrefixes.groups.length);
    this.#list = list;
    this.#trace.note(`${by.name} puts the groups: ${describeChange(before, list)}`);
    this.#checkWatermark(before, list);
    for (const group of list.groups) {
      const known = this.groups.get(group.id);
      if (known?.state === 'sealed' && group.state !== 'sealed') {
        this.#fail(new Violation(`group ${group.id} was sealed and is ${group.state} again`));
      }
      if (
        known?.state === 'sealed' &&
        JSON.stringify(known.sealedBatches) !== JSON.stringify(group.sealedBatches)
      ) {
        this.#fail(new Violation(`the sealed batches of group ${group.id} changed`));
      }
      if (known !== undefined && known.state !== group.state) {
        this.#checkFencing(item.key, by);
        this.#trace.count(`${group.kind} group ${group.state}`);
      }
      if (known !== undefined && JSON.stringify(known.shards) !== JSON.stringify(group.shards)) {
        this.#trace.count('owners replaced');
      }
      if (known?.state !== 'sealed' && group.state === 'sealed' && group.sealExceptions !== undefined) {
        this.#trace.count('group sealed by a quorum alone');
      }
      this.groups.set(group.id, group);
    }
  }

  #checkWatermark(before: GroupList | undefined, list: GroupList): void {
    if (before !== undefined && list.settledThroughNs < before.settledThroughNs) {
      this.#fail(new Violation('settled_through moved back'));
    }
    for (const group of list.groups) {
      if (group.startNs === null || group.state === 'sealed' || group.startNs >= list.settledThroughNs)
        continue;
      this.#fail(new Violation(`settled_through is past the start of window group ${group.id}, not sealed`));
    }
  }

  #onTable(item: MetaItem, by: SimulatedProcess): void {
    const record = tableCodec.decode(item.key, item.value);
    this.#trace.note(
      `${by.name} puts table ${record.table}: snapshot ${record.snapshotId ?? 'none'}, groups ${record.sealedGroups.join(' ')}`,
    );
    if (by.name.startsWith('compactor')) this.#checkFencing(item.key, by);
  }

  /** A compactor that was given the lease before another one may change nothing that this one has changed. */
  #checkFencing(key: string, by: SimulatedProcess): void {
    const epoch = this.#epochs.get(by.name);
    if (epoch === undefined) return;
    const highest = this.#committed.get(key) ?? 0;
    if (epoch < highest) {
      this.#fail(
        new Violation(`${by.name}, whose lease was of epoch ${epoch}, changed ${key} after epoch ${highest}`),
      );
    }
    this.#committed.set(key, Math.max(epoch, highest));
  }
}

function describeChange(before: GroupList | undefined, after: GroupList): string {
  const parts: string[] = [];
  const known = new Map(before?.groups.map((group) => [group.id, group]));
  for (const group of after.groups) {
    const old = known.get(group.id);
    known.delete(group.id);
    const owners = group.shards.map((shard) => shard.owners.join('+')).join(' ');
    if (old === undefined) parts.push(`${group.kind} ${group.id} ${group.state} on ${owners}`);
    else if (old.state !== group.state) parts.push(`${group.id} ${group.state}`);
    else if (JSON.stringify(old.shards) !== JSON.stringify(group.shards))
      parts.push(`${group.id} on ${owners}`);
    if (old !== undefined && old.released.length !== group.released.length) {
      parts.push(`${group.id} released by ${group.released.join('+')}`);
    }
  }
  for (const id of known.keys()) parts.push(`${id} gone`);
  if (before?.settledThroughNs !== after.settledThroughNs) parts.push(`settled ${after.settledThroughNs}`);
  return parts.join(', ');
}
