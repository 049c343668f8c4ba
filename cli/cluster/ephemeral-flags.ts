import type { Option } from 'commander';
import { durationFlag, switchFlag } from '../flags.js';

/** How an ingest node comes and goes whose data directory ends with its process. */
export interface EphemeralFlags {
  readonly ephemeral: boolean;
  readonly leaveWithin: number;
  readonly joinPatience: number;
}

/** The flags of such a node. */
export function ephemeralOptions(): readonly Option[] {
  return [
    switchFlag(
      '--ephemeral',
      'the data directory ends with the process: on SIGTERM hand to others what is in flux; silent, count as lost',
    ),
    durationFlag('--leave-within <duration>', 'end after this long on SIGTERM, whatever is left', '110s'),
    durationFlag(
      '--join-patience <duration>',
      '/joined waits this long for all that is in flux to have its copies',
      '0s',
    ),
  ];
}
