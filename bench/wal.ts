import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../core/adapters/clock-system.js';
import { FileSystemDisk } from '../core/adapters/disk-filesystem.js';
import { SystemRandom } from '../core/adapters/random-system.js';
import { decodeBatch, encodeBatch } from '../core/codec/batch-codec.js';
import type { Batch, EncodedBatch, GroupId, NodeId } from '../core/model/batch.js';
import { type FieldColumn, packStrings } from '../core/model/columns.js';
import { encodeSeriesKey } from '../core/model/series-key.js';
import { silentLogger } from '../core/std/logger.js';
import { Wal } from '../ingest/wal/wal.js';

/** Appends to the WAL on a real disk: large batches and many small ones. `node dist/bench/wal.js [directory]` */

const clock = new SystemClock();
const root = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'varve-bench-wal-'));

function batchOf(sequence: number, rowCount: number, fieldCount: number, kind: 'double' | 'bigint'): Batch {
  const fields = Array.from({ length: fieldCount }, (_, index): FieldColumn => {
    const name = `usage_${index}`;
    const valueAt = (row: number): number => (row * 31 + index * 7 + sequence) % 101;
    if (kind === 'bigint') {
      const values = BigInt64Array.from({ length: rowCount }, (_unused, row) => BigInt(valueAt(row)));
      return { name, type: 'bigint', validity: null, values };
    }
    const values = Float64Array.from({ length: rowCount }, (_unused, row) => valueAt(row) + 0.25);
    return { name, type: 'double', validity: null, values };
  });
  const seriesCount = Math.min(rowCount, 1000);
  const keys = Array.from({ length: seriesCount }, (_, host) =>
    encodeSeriesKey([{ name: 'host', value: `host_${host}` }]),
  );
  return {
    id: { origin: 'bench' as NodeId, epoch: 1, sequence },
    stamp: BigInt(sequence),
    database: 'bench',
    group: `w${String(Math.floor(sequence / 64)).padStart(12, '0')}` as GroupId,
    shard: 0,
    tables: [
      {
        table: 'cpu',
        rowCount,
        seriesKeys: packStrings(keys),
        series: Int32Array.from({ length: rowCount }, (_, row) => row % seriesCount),
        timesNs: BigInt64Array.from({ length: rowCount }, (_, row) => BigInt(row) * 1_000_000n),
        fields,
      },
    ],
  };
}

function codec(kind: 'double' | 'bigint'): void {
  const batch = batchOf(1, 10_000, 10, kind);
  const rounds = 200;
  let encoded = encodeBatch(batch);
  for (let i = 0; i < 50; i++) decodeBatch(encodeBatch(batch).bytes);
  const cpuMs = (work: () => void): number => {
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / rounds;
  };
  const encodeMs = cpuMs(() => {
    encoded = encodeBatch(batch);
  });
  const decodeMs = cpuMs(() => decodeBatch(encoded.bytes));
  const size = encoded.bytes.length / 10_000;
  console.log(
    `codec 10k rows x 10 ${kind}: ${size.toFixed(1)} B/row, encode ${encodeMs.toFixed(2)} ms CPU, decode ${decodeMs.toFixed(2)} ms CPU`,
  );
}

async function appends(
  name: string,
  options: { readonly count: number; readonly concurrency: number; readonly release: boolean },
  make: (sequence: number) => EncodedBatch,
): Promise<void> {
  const disk = new FileSystemDisk(root);
  let commits = 0;
  let syncSeconds = 0;
  let made = 0;
  const wal = new Wal({
    disk,
    directory: name.replaceAll(' ', '-'),
    clock,
    random: new SystemRandom(),
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
    metrics: {
      committed: (commit) => {
        commits += 1;
        syncSeconds += commit.syncSeconds;
      },
      rejected() {},
      segmentMade() {
        made += 1;
      },
      segmentsRetired() {},
    },
  });
  await wal.start(() => 'drop');
  const latencies: number[] = [];
  let next = 1;
  let bytes = 0;
  const worker = async (): Promise<void> => {
    while (next <= options.count) {
      const sequence = next++;
      const batch = make(sequence);
      const sentMs = clock.monotonicMs();
      await wal.append(batch);
      latencies.push(clock.monotonicMs() - sentMs);
      bytes += batch.bytes.length;
      if (options.release && sequence % 64 === 63) await wal.release(batch.database, batch.group);
    }
  };
  const cpuBefore = process.cpuUsage();
  const startMs = clock.monotonicMs();
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  const seconds = (clock.monotonicMs() - startMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  await wal.stop();
  latencies.sort((left, right) => left - right);
  const at = (share: number): string =>
    (latencies[Math.floor((latencies.length - 1) * share)] ?? 0).toFixed(2);
  console.log(
    `${name}: ${(options.count / seconds).toFixed(0)} batches/s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s, ` +
      `${(commits / seconds).toFixed(0)} commits/s, latency p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms, ` +
      `CPU ${((cpu.user + cpu.system) / options.count).toFixed(0)} us/batch, ` +
      `mean sync ${((syncSeconds / commits) * 1000).toFixed(2)} ms, ${made} segments made`,
  );
  let replayed = 0;
  const again = new Wal({
    disk,
    directory: name.replaceAll(' ', '-'),
    clock,
    random: new SystemRandom(),
    logger: silentLogger,
    onFatal() {},
  });
  const replayCpuBefore = process.cpuUsage();
  const replayMs = clock.monotonicMs();
  const summary = await again.start((batch) => {
    decodeBatch(batch.bytes);
    replayed += 1;
    return 'drop';
  });
  const replaySeconds = (clock.monotonicMs() - replayMs) / 1000;
  const replayCpu = process.cpuUsage(replayCpuBefore);
  console.log(
    `  replay with decode: ${replayed} batches, ${(summary.bytes / replaySeconds / 1e6).toFixed(0)} MB/s, ` +
      `CPU ${((replayCpu.user + replayCpu.system) / replayed).toFixed(0)} us/batch`,
  );
  await again.stop();
}

try {
  codec('double');
  codec('bigint');
  const large = encodeBatch(batchOf(1, 10_000, 10, 'double'));
  const named = (batch: EncodedBatch, sequence: number): EncodedBatch => ({
    ...batch,
    id: { ...batch.id, sequence },
    group: `w${String(Math.floor(sequence / 64)).padStart(12, '0')}` as GroupId,
  });
  const small = encodeBatch(batchOf(1, 1, 1, 'double'));
  console.log(`large ${large.bytes.length} B, small ${small.bytes.length} B`);
  await appends('large x1', { count: 500, concurrency: 1, release: false }, (i) => named(large, i));
  await appends('large x4', { count: 1000, concurrency: 4, release: false }, (i) => named(large, i));
  await appends('large x4 released', { count: 2000, concurrency: 4, release: true }, (i) => named(large, i));
  await appends('small x1', { count: 3000, concurrency: 1, release: false }, (i) => named(small, i));
  await appends('small x64', { count: 100_000, concurrency: 64, release: false }, (i) => named(small, i));
} finally {
  await rm(root, { recursive: true });
}
