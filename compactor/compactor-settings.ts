import { defaultExpirySettings, type ExpirySettings } from './expire/expirer.js';
import { defaultMergeSettings, type MergeSettings } from './merge/plan-merges.js';
import { type DataFileLimits, defaultDataFileLimits } from './rows/data-file-writer.js';
import { defaultFilePlanSettings, type FilePlanSettings } from './seal/file-plan.js';

/** How the compactor works. */
export interface CompactorSettings {
  readonly leaseTtlMs: number;
  /** Between two looks at the groups while something is going on; up to five times that when nothing is. */
  readonly tickMs: number;
  /** Between two looks for tables to merge or expire. */
  readonly upkeepMs: number;
  /** A table whose history did not change is looked at this often. */
  readonly upkeepIdleMs: number;
  readonly releaseGraceMs: number;
  /** How long a closed group waits for all its owners before a quorum suffices. */
  readonly patienceMs: number;
  /** A node that gave no heartbeat for so long is not live. */
  readonly nodeSilenceMs: number;
  /** An ephemeral node that is silent for so long and cannot be reached is declared lost without being asked for. */
  readonly ephemeralSilenceMs: number;
  readonly commitWithinMs: number;
  readonly retryMsMax: number;
  readonly filePlan: FilePlanSettings;
  readonly limits: DataFileLimits;
  readonly merge: MergeSettings;
  readonly expiry: ExpirySettings;
}

/** Settings for a server; tests and the demo shorten the times. */
export const defaultCompactorSettings: CompactorSettings = {
  leaseTtlMs: 15_000,
  tickMs: 1000,
  upkeepMs: 10_000,
  upkeepIdleMs: 600_000,
  releaseGraceMs: 60_000,
  patienceMs: 120_000,
  nodeSilenceMs: 15_000,
  ephemeralSilenceMs: 60_000,
  commitWithinMs: 900_000,
  retryMsMax: 30_000,
  filePlan: defaultFilePlanSettings,
  limits: defaultDataFileLimits,
  merge: defaultMergeSettings,
  expiry: defaultExpirySettings,
};
