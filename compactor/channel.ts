import { ChannelClient, type ChannelParent, serveChannel } from '../core/std/channel.js';
import type {
  CompactorControl,
  CompactReport,
  SealReport,
  SettledStatus,
  TruncateReport,
  VerifyReport,
} from './compactor-control.js';

const channelName = 'compactor';

interface SealArgument {
  readonly database: string;
  readonly beforeNs: bigint;
}

/** What one table, or all of a database, is asked for. */
interface TableArgument {
  readonly database: string;
  readonly table: string | null;
}

/** Answers calls of a ChannelCompactor on the other side of `port`. Returns a function that stops answering. */
export function serveCompactorChannel(port: ChannelParent, control: CompactorControl): () => void {
  return serveChannel(port, channelName, {
    sealBefore: ({ database, beforeNs }: SealArgument, signal) =>
      control.sealBefore(database, beforeNs, signal),
    truncateShards: (database: string | null, signal) => control.truncateShards(database, signal),
    compact: ({ database, table }: TableArgument, signal) => control.compact(database, table, signal),
    verify: ({ database, table }: TableArgument, signal) => control.verify(database, table, signal),
    status: (database: string, signal) => control.status(database, signal),
  });
}

/** A compactor in another thread. */
export class ChannelCompactor implements CompactorControl {
  readonly #client: ChannelClient;

  constructor(port: ChannelParent) {
    this.#client = new ChannelClient(port, channelName);
  }

  sealBefore(database: string, beforeNs: bigint, signal?: AbortSignal): Promise<SealReport> {
    return this.#client.call('sealBefore', { database, beforeNs } satisfies SealArgument, signal);
  }

  truncateShards(database: string | null, signal?: AbortSignal): Promise<readonly TruncateReport[]> {
    return this.#client.call('truncateShards', database, signal);
  }

  compact(database: string, table: string | null, signal?: AbortSignal): Promise<CompactReport> {
    return this.#client.call('compact', { database, table } satisfies TableArgument, signal);
  }

  verify(database: string, table: string | null, signal?: AbortSignal): Promise<VerifyReport> {
    return this.#client.call('verify', { database, table } satisfies TableArgument, signal);
  }

  status(database: string, signal?: AbortSignal): Promise<SettledStatus> {
    return this.#client.call('status', database, signal);
  }

  /** Ends every pending call with `unavailable`; for when the thread has ended. */
  close(reason: string): void {
    this.#client.close(reason);
  }
}
