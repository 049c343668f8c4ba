/**
 * The same pieces; `finish` is called once, when they end, fail or are left, even when none was ever taken (a
 * generator's own `finally` would not run then).
 */
export function finishing(
  pieces: AsyncIterable<Uint8Array>,
  finish: (outcome: 'answered' | 'failed') => void,
): AsyncIterable<Uint8Array> {
  const source = pieces[Symbol.asyncIterator]();
  let isFinished = false;
  const finishOnce = (outcome: 'answered' | 'failed'): void => {
    if (isFinished) return;
    isFinished = true;
    finish(outcome);
  };
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        const step = await source.next();
        if (step.done === true) finishOnce('answered');
        return step;
      } catch (error) {
        finishOnce('failed');
        throw error;
      }
    },
    async return() {
      try {
        await source.return?.();
      } finally {
        finishOnce('failed');
      }
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
