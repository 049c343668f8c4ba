import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Kernel ticks a second in /proc. */
const ticksPerSecond = 100;
const sampleMs = 2000;
/** Cores kept busy by others up to which a machine counts as quiet. */
const quietCores = 0.15;

/** CPU seconds of the whole machine, those that a hypervisor took away among them. */
function busySeconds(): number {
  const [, ...ticks] =
    readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.trim().split(/\s+/).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks;
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

/**
 * Watches how much the machine does beside what is measured, so that a figure can say how far it is to be trusted.
 * `own` tells the CPU seconds of what is measured, this process excepted.
 */
export function watchOtherWork(own: () => number): { readonly cores: () => number } {
  const ownSeconds = (): number => {
    const { user, system } = process.cpuUsage();
    return own() + (user + system) / 1e6;
  };
  const startMs = performance.now();
  const busyBefore = busySeconds();
  const ownBefore = ownSeconds();
  return {
    /** Cores kept busy by others since the watch began. */
    cores: () => {
      const seconds = (performance.now() - startMs) / 1000;
      return Math.max(0, (busySeconds() - busyBefore - (ownSeconds() - ownBefore)) / seconds);
    },
  };
}

/** Resolves when others leave the machine alone, or after `patienceMs`. */
export async function untilQuiet(patienceMs: number): Promise<void> {
  const startMs = performance.now();
  while (performance.now() - startMs < patienceMs) {
    const watch = watchOtherWork(() => 0);
    await sleep(sampleMs);
    if (watch.cores() <= quietCores) return;
  }
}
