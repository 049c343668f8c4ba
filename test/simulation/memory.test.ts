import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { Disk } from '../../core/ports/disk.js';
import { runSimulation } from './run-simulation.js';

/** With kills and power cuts, so that waits are left that never end. */
const seeds = [4, 5, 6, 7, 8];

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('lets go of a cluster when its run has ended, so that many seeds fit into one process', async () => {
  const clusters: WeakRef<Disk>[][] = [];
  for (const seed of seeds) {
    const disks: WeakRef<Disk>[] = [];
    clusters.push(disks);
    const noted = (disk: Disk): Disk => {
      disks.push(new WeakRef(disk));
      return disk;
    };
    const { violation } = await runSimulation({ seed, mutations: { disk: noted } });
    expect(violation).toBeNull();
    expect(disks.length).toBeGreaterThan(0);
  }
  for (let round = 0; round < 5; round++) {
    await nextTurn();
    collectGarbage();
  }
  const kept = clusters.filter((disks) => disks.some((disk) => disk.deref() !== undefined));
  // A wait of product code that never ends may keep its own; before, every run with a process that ended was kept.
  expect(kept.length).toBeLessThanOrEqual(1);
}, 600_000);
