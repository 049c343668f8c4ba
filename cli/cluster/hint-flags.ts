import type { Option } from 'commander';
import { durationFlag, sizeFlag } from '../flags.js';

/** How many hints an ingest node keeps, and how it sends them. */
export interface HintFlags {
  readonly hintBytesMax: number;
  readonly hintAgeMax: number;
  readonly hintReplayRate: number;
}

/** The flags of hints. */
export function hintOptions(): readonly Option[] {
  return [
    sizeFlag('--hint-bytes-max <size>', 'files of hints for one node; at the limit no more are kept', '2GiB'),
    durationFlag('--hint-age-max <duration>', 'older hints are dropped: repair has had its time', '7d'),
    sizeFlag('--hint-replay-rate <size>', 'bytes of hints a second sent to one node', '32MiB'),
  ];
}
