import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { encodeBatch } from '../../../core/codec/batch-codec.js';
import { batchIdText, type EncodedBatch, type GroupId, type NodeId } from '../../../core/model/batch.js';
import { packStrings } from '../../../core/model/columns.js';
import type { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Wal, type WalOptions } from '../../../ingest/wal/wal.js';

export const directory = 'data/wal';
export const database = 'db';

export function groupNumber(number: number): GroupId {
  return `w${String(number).padStart(12, '0')}` as GroupId;
}

/** A batch with one string of `payloadBytes`, filled so that batches differ everywhere. */
export function makeBatch(sequence: number, payloadBytes = 8, group = 1, shard = 0): EncodedBatch {
  const text = new Uint8Array(payloadBytes);
  for (let i = 0; i < payloadBytes; i++) text[i] = 97 + ((sequence * 7 + i * 13) % 26);
  return encodeBatch({
    id: { origin: 'n1' as NodeId, epoch: 1, sequence },
    stamp: BigInt(sequence),
    database,
    group: groupNumber(group),
    shard,
    tables: [
      {
        table: 't',
        rowCount: 1,
        seriesKeys: packStrings([new Uint8Array(0)]),
        series: Int32Array.of(0),
        timesNs: BigInt64Array.of(BigInt(sequence)),
        fields: [{ name: 's', type: 'string', validity: null, values: packStrings([text]) }],
      },
    ],
  });
}

export interface OpenedWal {
  readonly wal: Wal;
  readonly fatal: VarveError[];
}

/** A log on small segments; it dies with the disk's next kill or crash, as its process would. */
export function openWal(disk: MemoryDisk, options: Partial<WalOptions> = {}, seed = 1): OpenedWal {
  const fatal: VarveError[] = [];
  const wal = new Wal({
    disk: disk.attach(),
    directory,
    clock: new SimulatedClock(),
    random: new SeededRandom(seed),
    logger: silentLogger,
    onFatal: (error) => fatal.push(error),
    segmentBytes: 64 * 1024,
    reserveBytes: 0,
    ...options,
  });
  return { wal, fatal };
}

/** What a fresh start replays, as texts of ids; keeps everything. */
export async function replayIds(
  disk: MemoryDisk,
  options: Partial<WalOptions> = {},
): Promise<{ ids: string[]; wal: Wal }> {
  const { wal } = openWal(disk, options, 99);
  const ids: string[] = [];
  await wal.start((batch) => {
    ids.push(batchIdText(batch.id));
    return 'keep';
  });
  return { ids, wal };
}

export function idsOf(batches: readonly EncodedBatch[]): string[] {
  return batches.map((batch) => batchIdText(batch.id));
}

/** A disk with the same files, all durable. */
export async function copyDisk(disk: MemoryDisk): Promise<MemoryDisk> {
  const copy = new MemoryDisk();
  for (const name of await disk.list(directory)) {
    copy.putFile(`${directory}/${name}`, disk.contentOf(`${directory}/${name}`));
  }
  return copy;
}
