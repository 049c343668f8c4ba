/** Time as the code sees it. Ambient time (Date.now, setTimeout) is used by the system adapter only. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch, not monotonic. */
  nowMs(): number;
  /** Monotonic milliseconds with fractions; only differences mean anything. */
  monotonicMs(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when aborted. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
