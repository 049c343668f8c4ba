import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { batchIdText, type EncodedBatch, type NodeId } from '../../../core/model/batch.js';
import { type Logger, silentLogger } from '../../../core/std/logger.js';
import { hintId, hintsOf } from '../../../ingest/hints/hint-index.js';
import { noHintMetrics } from '../../../ingest/hints/hint-metrics.js';
import { HintQueue, type HintQueueOptions } from '../../../ingest/hints/hint-queue.js';

export const destination = 'n2' as NodeId;
export const directory = 'hints/to-n2';
export const firstSegment = `${directory}/000000000001.hints`;

/** A queue on small segments; it dies with the disk's next kill or crash, as its process would. */
export function openQueue(
  disk: MemoryDisk,
  options: Partial<HintQueueOptions> = {},
  seed = 1,
): Promise<HintQueue> {
  return HintQueue.open({
    disk: disk.attach(),
    directory,
    destination,
    reserveBytes: 0,
    clock: new SimulatedClock(),
    random: new SeededRandom(seed),
    logger: silentLogger,
    metrics: noHintMetrics,
    bytesMax: 2 ** 30,
    segmentBytes: 8192,
    ...options,
  });
}

/** A logger that keeps messages by severity. */
export function recordingLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const log =
    (level: string) =>
    (_fields: object, message: string): void => {
      lines.push(`${level}: ${message}`);
    };
  return { lines, debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

/** Ids of what is kept, sorted. */
export function keptIds(queue: HintQueue): string[] {
  return [...queue.index.groups()]
    .flatMap((group) => [...hintsOf(group)].map((ref) => batchIdText(hintId(ref))))
    .sort();
}

/** Every hint as it is read back, by id. */
export async function readAll(queue: HintQueue): Promise<Map<string, EncodedBatch>> {
  const batches = new Map<string, EncodedBatch>();
  for (const group of queue.index.groups()) {
    for (const ref of hintsOf(group)) {
      const batch = await queue.read(ref);
      batches.set(batchIdText(batch.id), batch);
    }
  }
  return batches;
}

/** The hint of a batch; fails when it is not kept. */
export function refOf(queue: HintQueue, batch: EncodedBatch) {
  const ref = queue.index.find(batch, batch.id);
  if (ref === undefined) throw new Error(`${batchIdText(batch.id)} is not kept`);
  return ref;
}
