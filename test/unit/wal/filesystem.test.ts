import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SystemClock } from '../../../core/adapters/clock-system.js';
import { FileSystemDisk } from '../../../core/adapters/disk-filesystem.js';
import { SystemRandom } from '../../../core/adapters/random-system.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Wal } from '../../../ingest/wal/wal.js';
import { database, groupNumber, makeBatch } from './harness.js';

it('the log keeps its promises on the file system of this machine', async () => {
  const root = await mkdtemp(join(tmpdir(), 'varve-wal-'));
  const open = (): Wal =>
    new Wal({
      disk: new FileSystemDisk(join(root, 'made', 'by', 'the', 'disk')),
      directory: 'wal',
      clock: new SystemClock(),
      random: new SystemRandom(),
      logger: silentLogger,
      onFatal: (error) => expect.unreachable(error.message),
      segmentBytes: 2 ** 20,
    });
  try {
    const wal = open();
    await wal.start(() => expect.unreachable('nothing was appended'));
    const batches = Array.from({ length: 60 }, (_, i) => makeBatch(i + 1, (i % 10) * 30_000, i < 30 ? 1 : 2));
    await Promise.all(batches.map((batch) => wal.append(batch)));
    const used = wal.usage();
    expect(used.segments).toBeGreaterThan(7);
    await wal.release(database, groupNumber(1));
    expect(wal.usage().segments).toBeLessThan(used.segments);
    await wal.stop();
    const again = open();
    const replayed: Uint8Array[] = [];
    await again.start((batch) => {
      if (batch.group === groupNumber(2)) replayed.push(batch.bytes);
      return batch.group === groupNumber(2) ? 'keep' : 'drop';
    });
    // By one comparison: element by element takes the test's time.
    expect(Buffer.concat(replayed).equals(Buffer.concat(batches.slice(30).map((batch) => batch.bytes)))).toBe(
      true,
    );
    await again.stop();
  } finally {
    await rm(root, { recursive: true });
  }
});
