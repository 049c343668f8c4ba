import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { batchIdText, type EncodedBatch } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { decodeSegmentHeader, readFrameHead } from '../../../ingest/hints/hint-format.js';
import type { HintQueue } from '../../../ingest/hints/hint-queue.js';
import { idsOf, makeBatch } from '../wal/harness.js';
import { directory, firstSegment, keptIds, openQueue, readAll, recordingLogger, refOf } from './harness.js';

const keepAll = (queue: HintQueue, batches: readonly EncodedBatch[]) =>
  Promise.all(batches.map((batch) => queue.keep(batch)));

describe('HintQueue', () => {
  it('gives back what it kept, over restarts and several files', async () => {
    const disk = new MemoryDisk();
    const batches = Array.from({ length: 40 }, (_, index) =>
      makeBatch(index + 1, 100 * (index % 9), 1 + (index % 2)),
    );
    let queue = await openQueue(disk, { segmentBytes: 2048 });
    for (let from = 0; from < 40; from += 8) await keepAll(queue, batches.slice(from, from + 8));
    expect((await disk.list(directory)).length).toBeGreaterThan(2);
    for (let restart = 0; restart < 3; restart++) {
      const read = await readAll(queue);
      expect([...read.keys()].sort()).toEqual(idsOf(batches).sort());
      for (const batch of batches) expect(read.get(batchIdText(batch.id))).toEqual(batch);
      await queue.stop();
      disk.kill();
      queue = await openQueue(disk, {}, restart + 2);
    }
  });

  it('shares syncs among hints that come together', async () => {
    const disk = new MemoryDisk();
    const queue = await openQueue(disk);
    await queue.keep(makeBatch(1));
    const before = disk.operations;
    await keepAll(
      queue,
      Array.from({ length: 20 }, (_, index) => makeBatch(index + 2)),
    );
    expect(disk.operations - before).toBe(2);
  });

  it('keeps a batch once, however often it comes', async () => {
    const disk = new MemoryDisk();
    const queue = await openQueue(disk);
    await Promise.all([queue.keep(makeBatch(1)), queue.keep(makeBatch(1))]);
    await queue.keep(makeBatch(1));
    expect(queue.index.count).toBe(1);
    await queue.stop();
    disk.kill();
    expect((await openQueue(disk)).index.count).toBe(1);
  });

  it('refuses other bytes under an id that is kept', async () => {
    const queue = await openQueue(new MemoryDisk());
    await queue.keep(makeBatch(1, 5));
    await expect(queue.keep(makeBatch(1, 6))).rejects.toMatchObject({ kind: 'corrupt' });
  });

  it('forgets what has ended, also after a restart, and leaves no file when all has', async () => {
    const disk = new MemoryDisk();
    const batches = Array.from({ length: 12 }, (_, index) => makeBatch(index + 1, 300));
    const queue = await openQueue(disk, { segmentBytes: 1024 });
    for (const batch of batches) await queue.keep(batch);
    for (const batch of batches.slice(0, 7)) queue.end(refOf(queue, batch), 'replayed');
    expect(keptIds(queue)).toEqual(idsOf(batches.slice(7)).sort());
    await queue.tidy();
    disk.kill();
    const again = await openQueue(disk, {}, 2);
    expect(keptIds(again)).toEqual(idsOf(batches.slice(7)).sort());
    for (const batch of batches.slice(7)) again.end(refOf(again, batch), 'replayed');
    await again.tidy();
    expect(await disk.list(directory)).toEqual([]);
    expect([again.fileBytes, again.index.bytes, again.ended('replayed')]).toEqual([0, 0, 5]);
    await again.keep(batches[0]!);
    expect(keptIds(again)).toEqual(idsOf(batches.slice(0, 1)));
  });

  it('notes what ends while others are being noted', async () => {
    const disk = new MemoryDisk();
    const queue = await openQueue(disk);
    for (let sequence = 1; sequence <= 3; sequence++) await queue.keep(makeBatch(sequence));
    queue.end(refOf(queue, makeBatch(1)), 'replayed');
    disk.faults = {
      delay: async ({ operation, key }) => {
        const second = queue.index.find(makeBatch(2), makeBatch(2).id);
        if (operation === 'sync' && key.endsWith('.done') && second !== undefined)
          queue.end(second, 'replayed');
      },
    };
    await queue.tidy();
    await queue.tidy();
    disk.kill();
    expect(keptIds(await openQueue(disk, {}, 2))).toEqual(['n1/1/3']);
  });

  it('is full at its limit, saying for whom, and warns before', async () => {
    const logger = recordingLogger();
    const queue = await openQueue(new MemoryDisk(), { bytesMax: 20_000, logger });
    let error: unknown;
    let kept = 0;
    while (error === undefined) {
      error = await queue.keep(makeBatch(++kept, 2000)).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    }
    expect(error).toMatchObject({ kind: 'exhausted', message: expect.stringContaining('node n2') });
    expect(queue.fileBytes).toBeLessThanOrEqual(20_000);
    expect(kept).toBe(9);
    expect(logger.lines).toEqual([expect.stringContaining('warn: hints for a node have filled most')]);
    queue.end(refOf(queue, makeBatch(1, 2000)), 'replayed');
    for (let sequence = 2; sequence < 9; sequence++)
      queue.end(refOf(queue, makeBatch(sequence, 2000)), 'replayed');
    await queue.tidy();
    await queue.keep(makeBatch(50, 2000));
  });

  it('counts every hint as 1 KiB at least, so that memory is bounded too', async () => {
    const queue = await openQueue(new MemoryDisk(), { bytesMax: 10 * 1024 });
    for (let sequence = 1; sequence <= 10; sequence++) await queue.keep(makeBatch(sequence));
    await expect(queue.keep(makeBatch(11))).rejects.toMatchObject({ kind: 'exhausted' });
  });

  it('leaves room on the disk, and goes on when there is some again', async () => {
    const disk = new MemoryDisk({ capacityBytes: 100_000 });
    const queue = await openQueue(disk, { reserveBytes: 95_000 });
    await expect(queue.keep(makeBatch(1))).rejects.toMatchObject({ kind: 'exhausted' });
    disk.capacityBytes = 200_000;
    await queue.keep(makeBatch(1));
    expect(keptIds(queue)).toHaveLength(1);
  });

  it('says so when a sync fails, and keeps what was synced before and after', async () => {
    const disk = new MemoryDisk();
    const logger = recordingLogger();
    const queue = await openQueue(disk, { logger });
    await queue.keep(makeBatch(1, 50));
    let armed = true;
    disk.faults = {
      fail: ({ operation, key }) => {
        if (!armed || operation !== 'sync' || !key.endsWith('.hints')) return undefined;
        armed = false;
        return { kind: 'refused', error: new VarveError('unavailable', 'EIO') };
      },
    };
    await expect(queue.keep(makeBatch(2, 50))).rejects.toMatchObject({ kind: 'unavailable' });
    await queue.keep(makeBatch(3, 50));
    disk.crash('all');
    const again = await openQueue(disk, { logger }, 2);
    expect(keptIds(again)).toEqual(['n1/1/1', 'n1/1/3']);
    expect(logger.lines.filter((line) => line.startsWith('error'))).toEqual([]);
    expect([...(await readAll(again)).values()]).toEqual([makeBatch(1, 50), makeBatch(3, 50)]);
  });
});

describe('HintQueue after damage', () => {
  const batches = Array.from({ length: 6 }, (_, index) => makeBatch(index + 1, 200));

  async function files(): Promise<{ disk: MemoryDisk; bytes: Uint8Array; frames: number[] }> {
    const disk = new MemoryDisk();
    const queue = await openQueue(disk);
    for (const batch of batches) await queue.keep(batch);
    await queue.stop();
    disk.kill();
    const bytes = disk.contentOf(firstSegment).slice();
    const { header, end } = decodeSegmentHeader(bytes);
    const frames: number[] = [];
    for (let at = end; at < bytes.length; ) {
      frames.push(at);
      at += readFrameHead(bytes.subarray(at), header.salt)!.bytes;
    }
    expect(frames).toHaveLength(6);
    return { disk, bytes, frames };
  }

  it('keeps the rest and tells of a head or table damaged in the middle, whichever byte it is', async () => {
    const { disk, bytes, frames } = await files();
    for (let at = frames[2]!; at < frames[2]! + 100; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= 0x10;
      disk.putFile(firstSegment, damaged);
      const logger = recordingLogger();
      const queue = await openQueue(disk, { logger });
      expect(keptIds(queue), `byte ${at}`).toEqual(idsOf(batches.filter((_, index) => index !== 2)));
      expect(queue.damagedBytes).toBe(frames[3]! - frames[2]!);
      expect(logger.lines).toEqual([expect.stringContaining('error: hints are damaged')]);
      disk.kill();
    }
  });

  it('tells of a batch damaged in the middle when it is read, and ends it', async () => {
    const { disk, bytes, frames } = await files();
    const damaged = bytes.slice();
    damaged[frames[3]! - 20]! ^= 1;
    disk.putFile(firstSegment, damaged);
    const logger = recordingLogger();
    const queue = await openQueue(disk, { logger });
    const ref = refOf(queue, batches[2]!);
    await expect(queue.read(ref)).rejects.toMatchObject({ kind: 'corrupt' });
    expect(await queue.readOrEnd(ref)).toBeUndefined();
    expect(keptIds(queue)).toHaveLength(5);
    expect(queue.ended('damaged')).toBe(1);
    expect(logger.lines).toEqual(['error: a hint is lost: it cannot be read']);
  });

  it('cuts the last frame wherever it is torn, silently, for nobody was told of it', async () => {
    const { disk, bytes, frames } = await files();
    for (let length = frames[5]!; length < bytes.length; length++) {
      disk.putFile(firstSegment, bytes.slice(0, length));
      const queue = await openQueue(disk);
      expect(keptIds(queue), `length ${length}`).toEqual(idsOf(batches.slice(0, 5)));
      expect(queue.damagedBytes).toBe(0);
      await queue.stop();
      disk.kill();
      expect(disk.contentOf(firstSegment).length).toBe(frames[5]);
    }
  });

  it('leaves a file alone whose header cannot be read, and goes on', async () => {
    const { disk, bytes } = await files();
    const damaged = bytes.slice();
    damaged[9]! ^= 1;
    disk.putFile(firstSegment, damaged);
    const logger = recordingLogger();
    const queue = await openQueue(disk, { logger });
    expect([keptIds(queue), queue.damagedBytes]).toEqual([[], bytes.length]);
    expect(logger.lines).toHaveLength(1);
    await queue.keep(batches[0]!);
    expect(disk.contentOf(firstSegment)).toEqual(damaged);
    expect(keptIds(queue)).toHaveLength(1);
  });

  it('sends hints again when the list of those that are done is lost or torn, and none it still has', async () => {
    const { disk, bytes } = await files();
    disk.putFile(firstSegment, bytes);
    const queue = await openQueue(disk);
    for (const batch of batches.slice(0, 3)) queue.end(refOf(queue, batch), 'replayed');
    await queue.stop();
    disk.kill();
    const list = `${directory}/000000000001.done`;
    const whole = disk.contentOf(list).slice();
    for (let length = 0; length <= whole.length; length++) {
      disk.putFile(list, whole.slice(0, length));
      const again = await openQueue(disk);
      const done = Math.max(0, Math.floor((length - 16) / 8));
      expect(keptIds(again), `length ${length}`).toEqual(idsOf(batches.slice(done)));
      again.end(refOf(again, batches[5]!), 'replayed');
      await again.stop();
      disk.kill();
      const last = await openQueue(disk);
      expect(keptIds(last)).toEqual(idsOf(batches.slice(done, 5)));
      await last.stop();
      disk.kill();
    }
  });
});

describe('HintQueue when the process or the machine ends', () => {
  type Step =
    | { readonly kind: 'keep'; readonly sizes: readonly number[] }
    | { readonly kind: 'end' | 'tidy' };
  interface Life {
    readonly steps: readonly Step[];
    readonly powerOffAfter: number;
    readonly end: 'kill' | 'none' | 'all' | { readonly seed: number };
  }
  interface Model {
    readonly acknowledged: Map<string, EncodedBatch>;
    readonly tried: Map<string, EncodedBatch>;
    sequence: number;
  }

  async function keepNew(queue: HintQueue, model: Model, sizes: readonly number[]): Promise<void> {
    await Promise.all(
      sizes.map(async (size) => {
        const batch = makeBatch(++model.sequence, size);
        model.tried.set(batchIdText(batch.id), batch);
        await queue.keep(batch);
        model.acknowledged.set(batchIdText(batch.id), batch);
      }),
    );
  }

  async function live(disk: MemoryDisk, model: Model, life: Life, seed: number): Promise<void> {
    const logger = recordingLogger();
    disk.losePowerAt(life.powerOffAfter);
    try {
      const queue = await openQueue(disk, { segmentBytes: 1024, logger }, seed);
      const kept = await readAll(queue);
      for (const [id, batch] of model.acknowledged)
        expect(kept.get(id), `${id} was acknowledged`).toEqual(batch);
      for (const [id, batch] of kept) expect(batch).toEqual(model.tried.get(id));
      expect([queue.damagedBytes, logger.lines.filter((line) => line.startsWith('error'))]).toEqual([0, []]);
      for (const step of life.steps) {
        if (step.kind === 'tidy') await queue.tidy();
        else if ('sizes' in step) await keepNew(queue, model, step.sizes);
        else {
          const [id] = model.acknowledged.keys();
          if (id === undefined) continue;
          queue.end(refOf(queue, model.acknowledged.get(id)!), 'replayed');
          model.acknowledged.delete(id);
        }
      }
    } catch (error) {
      if (!disk.powerLost) throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (life.end === 'kill') disk.kill();
    else disk.crash(typeof life.end === 'string' ? life.end : new SeededRandom(life.end.seed));
  }

  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant('keep' as const),
      sizes: fc.array(fc.nat({ max: 900 }), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({ kind: fc.constantFrom('end' as const, 'tidy' as const) }),
  );
  const oneLife: fc.Arbitrary<Life> = fc.record({
    steps: fc.array(step, { maxLength: 12 }),
    powerOffAfter: fc.integer({ min: 1, max: 60 }),
    end: fc.oneof(
      fc.constantFrom('kill' as const, 'none' as const, 'all' as const),
      fc.record({ seed: fc.nat() }),
    ),
  });

  it('has every hint that was acknowledged, and nothing that never was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(oneLife, { minLength: 1, maxLength: 5 }), async (lives) => {
        const disk = new MemoryDisk();
        const model: Model = { acknowledged: new Map(), tried: new Map(), sequence: 0 };
        const calm: Life = { steps: [], powerOffAfter: 1_000_000, end: 'kill' };
        for (const [index, life] of [...lives, calm].entries()) await live(disk, model, life, index + 1);
      }),
      { numRuns: 40 },
    );
  });
});
