import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import type { Random } from '../../core/ports/random.js';
import { VarveError } from '../../core/std/errors.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Timeline } from './timeline.js';

/** The disk of one machine: it outlives the processes that use it, and can be slow, full or failing. */
export class SimulatedDisk {
  readonly disk: MemoryDisk;
  /** Longest a sync takes. */
  syncMs = 3;
  /** Chance of a sync to fail, which ends the process. */
  syncFailure = 0;

  constructor(timeline: Timeline, random: Random) {
    this.disk = new MemoryDisk({
      faults: {
        delay: ({ operation }) =>
          operation.startsWith('sync') ? timeline.pass(random.next() * this.syncMs) : Promise.resolve(),
        fail: ({ operation, key }) => {
          if (operation !== 'sync' || this.syncFailure === 0 || random.next() >= this.syncFailure) {
            return undefined;
          }
          return { kind: 'refused', error: new VarveError('unavailable', `sync ${key}: the disk failed`) };
        },
      },
    });
  }

  heal(): void {
    this.syncMs = 3;
    this.syncFailure = 0;
  }

  /** The disk as the process sees it: nothing any more once it has ended. */
  of(process: SimulatedProcess): Disk {
    const disk = this.disk.attach();
    return {
      makeDirectory: (path) => process.gate(disk.makeDirectory(path)),
      list: (path) => process.gate(disk.list(path)),
      open: async (path, mode) => gatedFile(process, await process.gate(disk.open(path, mode))),
      rename: (from, to) => process.gate(disk.rename(from, to)),
      remove: (path) => process.gate(disk.remove(path)),
      syncDirectory: (path) => process.gate(disk.syncDirectory(path)),
      freeBytes: () => process.gate(disk.freeBytes()),
    };
  }
}

function gatedFile(process: SimulatedProcess, file: DiskFile): DiskFile {
  return {
    size: () => process.gate(file.size()),
    read: (into, offset) => process.gate(file.read(into, offset)),
    write: (bytes, offset) => process.gate(file.write(bytes, offset)),
    truncate: (size) => process.gate(file.truncate(size)),
    sync: () => process.gate(file.sync()),
    close: () => process.gate(file.close()),
  };
}
