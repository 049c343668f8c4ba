import type { VarveError } from '../std/errors.js';

/** A call on a store, as fault injection sees it. */
export interface StoreCall {
  readonly operation: string;
  /** The key, the prefix of a listing, or the first of several keys; empty for calls without one. */
  readonly key: string;
}

/** `refused`: the call fails and nothing happens. `answer-lost`: it happens, and the caller is told that it failed. */
export interface Fault {
  readonly kind: 'refused' | 'answer-lost';
  readonly error: VarveError;
}

/** What a memory store may be told to suffer; for simulations and tests. */
export interface FaultInjection {
  /** Waits before the call takes effect. */
  readonly delay?: (call: StoreCall) => Promise<void>;
  readonly fail?: (call: StoreCall) => Fault | undefined;
}

/** Runs `action` under the injected delay and fault. */
export async function underFaults<T>(
  injection: FaultInjection,
  call: StoreCall,
  signal: AbortSignal | undefined,
  action: () => T,
): Promise<T> {
  signal?.throwIfAborted();
  await injection.delay?.(call);
  signal?.throwIfAborted();
  const fault = injection.fail?.(call);
  if (fault?.kind === 'refused') throw fault.error;
  const result = action();
  if (fault !== undefined) throw fault.error;
  return result;
}
