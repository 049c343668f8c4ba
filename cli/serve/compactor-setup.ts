import type { LogFlags } from './logging.js';
import type { CompactionFlags } from './serve-flags.js';
import type { StoreFlags } from './stores.js';

/** What the flags say of the compactor's work. */
export interface CompactorTuning {
  readonly tickMs: number;
  readonly releaseGraceMs: number;
  readonly patienceMs: number;
  readonly unreferencedGraceMs: number;
  readonly housekeepingMs: number;
  readonly mergeFanIn: number;
  /** Default 15 s. */
  readonly leaseTtlMs?: number;
  /** Left out where there are no other nodes. */
  readonly ephemeralSilenceMs?: number;
}

/** The flags as a compactor takes them. */
export function compactorTuning(flags: CompactionFlags): CompactorTuning {
  return {
    tickMs: flags.compactInterval,
    releaseGraceMs: flags.releaseGrace,
    patienceMs: flags.sealPatience,
    unreferencedGraceMs: flags.unreferencedGrace,
    housekeepingMs: flags.housekeepingInterval,
    mergeFanIn: flags.mergeFanIn,
  };
}

/** What the compactor's thread is started with; it can be cloned. */
export interface CompactorSetup extends CompactorTuning {
  readonly stores: StoreFlags;
  readonly logging: LogFlags;
  readonly node: string;
  readonly epoch: number;
}

/** Channel on which the compactor's thread answers `metrics` and `stop`. */
export const controlChannel = 'compactor-control';

/** What the thread posts outside of channels. */
export type CompactorNotice =
  | { readonly notice: 'started' }
  /** The program contradicts itself; the process must end rather than write on. */
  | { readonly notice: 'fatal'; readonly reason: string };

/** Narrows what came over the port to a notice. */
export function isNotice(value: unknown): value is CompactorNotice {
  return typeof value === 'object' && value !== null && 'notice' in value;
}
