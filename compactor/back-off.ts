/** When to try again what failed, by key: after a delay that doubles with every failure in a row. */
export class BackOff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #failures = new Map<string, { readonly count: number; readonly untilMs: number }>();

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** `nowMs` here and below: any clock that does not go back. */
  mayTry(key: string, nowMs: number): boolean {
    const failure = this.#failures.get(key);
    return failure === undefined || nowMs >= failure.untilMs;
  }

  failed(key: string, nowMs: number): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const delayMs = Math.min(this.#maxMs, this.#firstMs * 2 ** (count - 1));
    this.#failures.set(key, { count, untilMs: nowMs + delayMs });
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }
}
