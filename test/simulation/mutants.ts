import { decodeBatch, encodeBatch } from '../../core/codec/batch-codec.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { AppendResult, GroupReport, Peer } from '../../core/ports/peer.js';
import type { HintKeeper, Mutations } from './mutations.js';
import type { NodeService } from './remote-node.js';

/** A variant of the cluster that is wrong in one place. */
export interface Mutant {
  readonly name: string;
  /** What is broken. */
  readonly breaks: string;
  /** A seed that shows it; as code changes another one may, so the test goes on from here. */
  readonly seed: number;
  /** Made anew for every run: some remember. */
  readonly mutations: () => Mutations;
}

const watermark = /"settledThroughNs":"(-?\d+)"/;

/** Every deliberately broken variant, with a seed that catches it. */
export const mutants: readonly Mutant[] = [
  {
    name: 'no-fsync',
    breaks: 'the log says that it has synced and has not',
    seed: 7,
    mutations: () => ({ disk: withoutSync }),
  },
  {
    name: 'append-not-awaited',
    breaks: 'an owner says `applied` to others before the batch is in its log',
    seed: 1,
    mutations: () => ({
      service: (service) =>
        overridden(service, {
          append: async (bytes) => {
            service.append(bytes).catch(() => {
              // That is what is wrong.
            });
            return { kind: 'applied' };
          },
        }),
    }),
  },
  {
    name: 'append-to-closed',
    breaks: 'an owner that has closed the group says `applied` and drops the batch',
    seed: 1,
    mutations: () => ({
      service: (service) =>
        overridden(service, {
          append: async (bytes) => {
            const answer = await service.append(bytes);
            return answer.kind === 'closed' ? { kind: 'applied' } : answer;
          },
        }),
    }),
  },
  {
    name: 'lease-for-all',
    breaks: 'every compactor is given the lease, whoever has it',
    seed: 3,
    mutations: () => ({
      compactorCatalog: (catalog) => ({
        ...catalog,
        leases: {
          acquire: async (name, holder, options) => {
            const answer = await catalog.leases.acquire(name, holder, { ...options, isGone: () => true });
            return answer;
          },
          renew: async (lease) => ({ kind: 'held', lease }),
          release: (lease) => catalog.leases.release(lease),
        },
      }),
    }),
  },
  {
    name: 'no-fencing',
    breaks: 'a former holder of the lease commits as if it had the newest epoch',
    seed: 2,
    mutations: () => ({
      compactorMeta: withoutFencing,
      compactorCatalog: (catalog) => ({
        ...catalog,
        leases: {
          acquire: (name, holder, options) => catalog.leases.acquire(name, holder, options),
          // It never learns that it has lost the lease.
          renew: async (lease) => ({ kind: 'held', lease }),
          release: (lease) => catalog.leases.release(lease),
        },
      }),
    }),
  },
  {
    name: 'watermark-too-early',
    breaks: 'settled_through runs a window ahead of what is sealed',
    seed: 1,
    mutations: () => ({
      compactorMeta: (meta) => ({
        ...meta,
        put: (key, value, expected, signal) =>
          meta.put(
            key,
            key.startsWith('groups/')
              ? value.replace(
                  watermark,
                  (_, ns: string) => `"settledThroughNs":"${BigInt(ns) + 20_000_000_000n}"`,
                )
              : value,
            expected,
            signal,
          ),
      }),
    }),
  },
  {
    name: 'blind-put',
    breaks: 'the catalog puts without comparing versions',
    seed: 26,
    mutations: () => ({
      meta: (meta) => ({
        ...meta,
        put: async (key, value, _expected, signal) => {
          const now = await meta.get(key, signal);
          return meta.put(key, value, now?.version ?? null, signal);
        },
      }),
    }),
  },
  {
    name: 'stale-group-list',
    breaks: 'a querier goes by a list of groups that it read up to five seconds ago',
    seed: 1,
    mutations: () => {
      let reads = 0;
      let kept:
        | ReturnType<NonNullable<Parameters<NonNullable<Mutations['queryCatalog']>>[0]['getGroups']>>
        | undefined;
      return {
        queryCatalog: (catalog) => ({
          ...catalog,
          getGroups: (database, signal) => {
            reads += 1;
            if (kept === undefined || reads % 4 === 0) kept = catalog.getGroups(database, signal);
            return kept;
          },
        }),
      };
    },
  },
  {
    name: 'short-scan',
    breaks: 'an owner that cannot be reached is read as one that holds nothing',
    seed: 15,
    mutations: () => ({
      ownerOfQuery: (service) =>
        overridden(service, {
          describe: (request, signal) => service.describe(request, signal).catch(() => []),
        }),
    }),
  },
  {
    name: 'quorum-read-as-one',
    breaks: 'a read at quorum asks one owner',
    seed: 70,
    mutations: () => ({ consistency: 'one' }),
  },
  {
    name: 'hints-dropped',
    breaks: 'a node says that it has kept a hint and has not',
    seed: 11,
    mutations: () => ({ hints: (hints) => ({ ...keeperOf(hints), keep: async () => {} }) }),
  },
  {
    name: 'double-apply',
    breaks: 'every other batch that arrives is taken a second time, under another id and a later stamp',
    seed: 2,
    mutations: () => ({
      service: (service) => overridden(service, { append: (bytes) => applyTwice(service, bytes) }),
    }),
  },
  {
    name: 'seal-what-answers',
    breaks: 'sealing takes an owner that cannot be reached for one that agrees with the others',
    seed: 156,
    mutations: () => {
      let last: GroupReport | undefined;
      return {
        ownerOfCompactor: (service) =>
          overridden(service, {
            closeGroup: async (database, group, signal) => {
              try {
                const report = await service.closeGroup(database, group, signal);
                last = report;
                return report;
              } catch (error) {
                if (last?.group === group) return last;
                throw error;
              }
            },
          }),
      };
    },
  },
  {
    name: 'no-grace',
    breaks: 'objects that nothing names yet, or no longer, are deleted at once',
    seed: 13,
    mutations: () => ({
      compactorSettings: (settings) => ({
        ...settings,
        upkeepMs: 500,
        upkeepIdleMs: 500,
        expiry: { graceMs: 0, orphanScanMs: 0 },
      }),
    }),
  },
];

function keeperOf(hints: HintKeeper): HintKeeper {
  return {
    keep: (owner, batch) => hints.keep(owner, batch),
    holdings: (database, group) => hints.holdings(database, group),
    fetch: (address, ids, signal) => hints.fetch(address, ids, signal),
    release: (database, group, sealed) => hints.release(database, group, sealed),
  };
}

async function applyTwice(service: NodeService, bytes: Uint8Array): Promise<AppendResult> {
  const answer = await service.append(bytes);
  const batch = decodeBatch(bytes);
  if (batch.id.sequence % 2 === 0) return answer;
  const id = { ...batch.id, sequence: batch.id.sequence + 2 ** 19 };
  await service.append(encodeBatch({ ...batch, id, stamp: batch.stamp + (20_000n << 16n) }).bytes);
  return answer;
}

/** The service with some calls replaced. */
function overridden(service: NodeService, change: Partial<NodeService>): NodeService {
  return {
    node: service.node,
    append: (batch, signal) => service.append(batch, signal),
    closeGroup: (database, group, signal) => service.closeGroup(database, group, signal),
    reportGroup: (database, group, signal) => service.reportGroup(database, group, signal),
    listBatches: (address, signal) => service.listBatches(address, signal),
    fetchBatches: (address, ids, signal) => service.fetchBatches(address, ids, signal),
    releaseGroup: (database, group, sealed, signal) => service.releaseGroup(database, group, sealed, signal),
    catchUp: (address, source, ranges, signal) => service.catchUp(address, source, ranges, signal),
    describe: (request, signal) => service.describe(request, signal),
    holdings: (request, signal) => service.holdings(request, signal),
    scan: (request, signal) => service.scan(request, signal),
    ...change,
  } satisfies Peer & NodeService;
}

function withoutSync(disk: Disk): Disk {
  return { ...disk, open: async (path, mode) => unsynced(await disk.open(path, mode)) };
}

function unsynced(file: DiskFile): DiskFile {
  return { ...file, sync: async () => {} };
}

/** Every epoch that goes into the catalog is the highest that is there already. */
function withoutFencing(meta: MetaStore): MetaStore {
  const epochs = /"fencingEpoch":\d+/;
  return {
    ...meta,
    get: async (key, signal) => {
      const item = await meta.get(key, signal);
      return item === undefined ? item : { ...item, value: item.value.replace(epochs, '"fencingEpoch":0') };
    },
  };
}
