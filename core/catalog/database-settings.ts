import { VarveError } from '../std/errors.js';
import { formatDurationMs } from '../std/units.js';
import { checkName } from './keys.js';
import type { ConsistencyLevel, DatabaseSettings } from './types.js';

const dayMs = 86_400_000;
/** Windows that may be open at once, which bounds the group list. */
const openWindowsMax = 1000;

/**
 * How long a process may go by what it read of a database before it asks the catalog again. A drop is answered only
 * after that time, so that no write begun after the answer goes to the dropped database.
 */
export const databaseTrustMs = 1000;

/** Most owners a shard may have: more would make writes slower and nothing safer. */
export const replicationMax = 7;

/** Every consistency level, weakest first. */
export const consistencyLevels: readonly ConsistencyLevel[] = ['any', 'one', 'quorum', 'all'];

/** Settings of a database that was created without any. */
export const defaultDatabaseSettings: DatabaseSettings = {
  windowMs: 10 * 60_000,
  graceMs: 5 * 60_000,
  lateDelayMs: 60_000,
  lateBytesMax: 256 * 2 ** 20,
  retentionMs: null,
  historyMs: dayMs,
  replication: 1,
  shards: 1,
  consistency: 'quorum',
};

/**
 * Refuses, as `invalid`, a name or settings that a database cannot have. A name is 1 to 256 bytes of UTF-8 without
 * control characters; `name/rp` is a name like any other.
 */
export function checkDatabase(name: string, settings: DatabaseSettings): void {
  checkName('database', name);
  const refuse = (setting: string, got: unknown, wanted: string): never => {
    throw new VarveError('invalid', `database ${name}: got ${setting} ${String(got)}; want ${wanted}`);
  };
  const whole = (setting: string, value: number, least: number, most: number): void => {
    if (Number.isSafeInteger(value) && value >= least && value <= most) return;
    refuse(setting, value, `a whole number from ${least} to ${most}`);
  };
  const duration = (setting: string, valueMs: number, leastMs: number, mostMs: number): void => {
    if (Number.isSafeInteger(valueMs) && valueMs >= leastMs && valueMs <= mostMs) return;
    refuse(setting, `${valueMs} ms`, `${formatDurationMs(leastMs)} to ${formatDurationMs(mostMs)}`);
  };

  duration('window', settings.windowMs, 1000, 366 * dayMs);
  if (dayMs % settings.windowMs !== 0 && settings.windowMs % dayMs !== 0) {
    refuse('window', formatDurationMs(settings.windowMs), 'a span that divides a day, or whole days');
  }
  duration('deadline', settings.graceMs, 0, openWindowsMax * settings.windowMs);
  duration('late delay', settings.lateDelayMs, 0, 365 * dayMs);
  whole('late bytes', settings.lateBytesMax, 1, 2 ** 40);
  if (settings.retentionMs !== null) {
    duration('retention', settings.retentionMs, settings.windowMs, 100_000 * dayMs);
  }
  duration('history', settings.historyMs, 0, 100_000 * dayMs);
  whole('replication', settings.replication, 1, replicationMax);
  whole('shards', settings.shards, 1, 1024);
  if (!consistencyLevels.includes(settings.consistency)) {
    refuse('consistency', settings.consistency, consistencyLevels.join(', '));
  }
}
