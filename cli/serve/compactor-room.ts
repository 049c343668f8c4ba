import type { Registry } from 'prom-client';
import { Compactor, type CompactorOptions } from '../../compactor/compactor.js';
import { defaultCompactorSettings } from '../../compactor/compactor-settings.js';
import type { Catalogs } from './catalogs.js';
import { compactorMetrics } from './compactor-metrics.js';
import type { CompactorTuning } from './compactor-setup.js';

/** What a compactor is put together from. */
export interface CompactorParts extends Omit<CompactorOptions, 'catalog' | 'metrics' | 'settings'> {
  readonly catalogs: Catalogs;
  readonly registry: Registry;
  readonly tuning: CompactorTuning;
}

/** Puts a compactor together, in a thread or a process of its own. */
export function openCompactor(parts: CompactorParts): Compactor {
  const { catalogs, registry, tuning, ...rest } = parts;
  const { expiry, merge, leaseTtlMs, ephemeralSilenceMs } = defaultCompactorSettings;
  return new Compactor({
    ...rest,
    catalog: catalogs,
    metrics: compactorMetrics(registry),
    settings: {
      ...defaultCompactorSettings,
      leaseTtlMs: tuning.leaseTtlMs ?? leaseTtlMs,
      ephemeralSilenceMs: tuning.ephemeralSilenceMs ?? ephemeralSilenceMs,
      tickMs: tuning.tickMs,
      upkeepMs: tuning.housekeepingMs,
      releaseGraceMs: tuning.releaseGraceMs,
      patienceMs: tuning.patienceMs,
      merge: { ...merge, fanIn: tuning.mergeFanIn },
      expiry: {
        graceMs: tuning.unreferencedGraceMs,
        orphanScanMs: Math.min(expiry.orphanScanMs, tuning.unreferencedGraceMs * 6),
      },
    },
  });
}
