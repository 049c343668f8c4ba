import type { Clock } from '../ports/clock.js';

/** Longest delay that setTimeout takes; a longer one would fire at once. */
const timerDelayMsMax = 2 ** 31 - 1;

/** Time of the machine. */
export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    let rest = Math.max(0, delayMs);
    do {
      const part = Math.min(rest, timerDelayMsMax);
      await sleepOnce(part, signal);
      rest -= part;
    } while (rest > 0);
  }
}

function sleepOnce(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
