import { cpuOnlyStream } from '../generate/cpu-only.js';
import { CostWorld, openCostStores } from '../measure/cost-world.js';
import { combineUse, noStoreUse, type StoreUse } from '../measure/price-list.js';

/** What is replayed: hosts that write a point each every 10 s, evenly over the seconds. */
export interface CostOptions {
  readonly hosts: number;
  /** Simulated hours for each window; figures of a day are these times 24 / hours. */
  readonly hours: number;
  readonly windowsMs: readonly number[];
  readonly progress: (doing: string) => void;
}

/** What one length of windows costs. */
export interface CostFigures {
  readonly windowMs: number;
  readonly hours: number;
  /** All that was simulated: the hours, and the time until their last window had settled. */
  readonly elapsedHours: number;
  readonly points: number;
  readonly windows: number;
  /** The most that one tick that sealed one window of one table asked for. */
  readonly mostOfASeal: StoreUse;
  /** Over the simulated hours. */
  readonly ingest: StoreUse;
  readonly sealing: StoreUse;
  /** Looks at the catalog that found nothing to do, and the lease; over all that elapsed. */
  readonly idle: StoreUse;
  /** Merges, expiry and clearing away. */
  readonly upkeep: StoreUse;
  readonly coldQuery: StoreUse;
  readonly warmQuery: StoreUse;
  readonly dataBytes: number;
  readonly metadataBytes: number;
  /** From a point's time until it is in history, at most: window and grace. */
  readonly settledAfterMs: number;
}

const second = 1000;
const stepMs = 10_000;
const graceMs = 300_000;
/** So that expiry, which keeps a day of versions by default, is seen within the simulated time. */
const historyMs = 1_200_000;
/** As a compactor looks when nothing is closing: five of its ticks. */
const sealEveryMs = 5 * second;
const startMs = Date.UTC(2026, 0, 5);

const nameOf = (windowMs: number): string => `w${windowMs}`;

/** Replays the hosts for each length of windows, one after the other, against S3 and DynamoDB over their protocols. */
export async function runCost(options: CostOptions): Promise<CostFigures[]> {
  const stores = await openCostStores(options.windowsMs.map(nameOf));
  try {
    const figures: CostFigures[] = [];
    for (const windowMs of options.windowsMs) {
      options.progress(`windows of ${windowMs / 60_000} min`);
      const settings = { windowMs, graceMs, historyMs };
      const world = new CostWorld(stores, startMs, nameOf(windowMs), settings);
      await world.start();
      try {
        figures.push(await replay(world, windowMs, options));
      } finally {
        await world.stop();
      }
    }
    return figures;
  } finally {
    await stores.close();
  }
}

async function replay(world: CostWorld, windowMs: number, options: CostOptions): Promise<CostFigures> {
  const { hosts, hours } = options;
  const database = nameOf(windowMs);
  const seconds = hours * 3600;
  const steps = (seconds * second) / stepMs;
  const stream = cpuOnlyStream({ hosts, kind: 'int', seed: 1, startMs, stepMs, steps });
  const lines = stream.lines(0)[Symbol.iterator]();
  const { compactor } = world;
  const part = { ingest: noStoreUse, sealing: noStoreUse, idle: noStoreUse, upkeep: noStoreUse };
  let mostOfASeal = noStoreUse;
  const windowsEnd = Math.floor((seconds * second) / windowMs);
  const count = async (into: keyof typeof part, work: () => Promise<unknown>): Promise<StoreUse> => {
    const before = world.use();
    await work();
    const used = combineUse([world.use(), combineUse([before], -1)]);
    part[into] = combineUse([part[into], used]);
    return used;
  };
  // The points of the last windows are sealed after the last was written.
  const endMs = startMs + seconds * second + windowMs + graceMs + 2 * sealEveryMs;
  let points = 0;
  for (let nowMs = startMs; nowMs < endMs; nowMs += second) {
    const tick = Math.round((nowMs - startMs) / second);
    if (tick < seconds) {
      let text = '';
      const upTo = Math.round((hosts * ((tick % 10) + 1)) / 10) - Math.round((hosts * (tick % 10)) / 10);
      for (let line = 0; line < upTo; line++) text += lines.next().value ?? '';
      points += upTo;
      await count('ingest', () => world.write(database, text));
    }
    if (tick % (sealEveryMs / second) === 0) {
      await count('idle', () => compactor.keepLease());
      const before = world.use().puts;
      const work = await countUndecided(world, () => compactor.sealTick());
      const into = world.use().puts > before ? 'sealing' : 'idle';
      part[into] = combineUse([part[into], work]);
      if (into === 'sealing') mostOfASeal = largest(mostOfASeal, work);
      if (tick % (2 * (sealEveryMs / second)) === 0) await count('upkeep', () => compactor.upkeepTick());
    }
    await world.clock.advance(second);
  }
  const query = await pointQuery(world, database, startMs);
  const stored = await world.storedBytes();
  return {
    windowMs,
    hours,
    elapsedHours: (endMs - startMs) / 3_600_000,
    points,
    windows: windowsEnd,
    mostOfASeal,
    ...part,
    ...query,
    dataBytes: stored.data,
    metadataBytes: stored.metadata,
    settledAfterMs: windowMs + graceMs,
  };
}

async function countUndecided(world: CostWorld, work: () => Promise<unknown>): Promise<StoreUse> {
  const before = world.use();
  await work();
  return combineUse([world.use(), combineUse([before], -1)]);
}

/** One point of one host out of the middle of what has settled, asked of a querier that has just started, then again. */
async function pointQuery(
  world: CostWorld,
  database: string,
  fromMs: number,
): Promise<{ readonly coldQuery: StoreUse; readonly warmQuery: StoreUse }> {
  const querier = await world.querier();
  try {
    const time = new Date(fromMs + 10 * 60_000).toISOString();
    const sql = `SELECT usage_user FROM cpu WHERE hostname = 'host_7' AND time = '${time}'`;
    const ask = async (): Promise<void> => {
      const answer = await querier.ask(database, sql);
      if (answer.trim().split('\n').length !== 2) throw new Error(`point query: got ${answer}; want one row`);
    };
    return { coldQuery: await countUndecided(world, ask), warmQuery: await countUndecided(world, ask) };
  } finally {
    await querier.close();
  }
}

function largest(left: StoreUse, right: StoreUse): StoreUse {
  return {
    puts: Math.max(left.puts, right.puts),
    gets: Math.max(left.gets, right.gets),
    lists: Math.max(left.lists, right.lists),
    deletes: Math.max(left.deletes, right.deletes),
    writeUnits: Math.max(left.writeUnits, right.writeUnits),
    readUnits: Math.max(left.readUnits, right.readUnits),
  };
}
