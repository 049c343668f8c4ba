/**
 * Immutable objects by key, the least recently used going first when the sum of their weights passes the limit.
 * Loads of one key are shared; a load that fails leaves nothing behind.
 */
export class BoundedCache<Value> {
  readonly #weightMax: number;
  readonly #entries = new Map<string, { readonly value: Promise<Value>; weight: number }>();
  #weight = 0;

  /** `weightMax` is in the unit of the weights given with the values, here bytes of memory as estimated. */
  constructor(weightMax: number) {
    this.#weightMax = weightMax;
  }

  /** Sum of the weights held. */
  get weight(): number {
    return this.#weight;
  }

  /** The value of the key, loaded if it is not here. */
  get(key: string, load: () => Promise<{ readonly value: Value; readonly weight: number }>): Promise<Value> {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.value;
    }
    const loading = load();
    const entry = { value: loading.then((loaded) => loaded.value), weight: 0 };
    this.#entries.set(key, entry);
    loading.then(
      ({ weight }) => {
        if (this.#entries.get(key) !== entry) return;
        entry.weight = weight;
        this.#weight += weight;
        this.#shrink();
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry.value;
  }

  #shrink(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#weight <= this.#weightMax) return;
      if (entry.weight === 0) continue; // still loading
      this.#entries.delete(key);
      this.#weight -= entry.weight;
    }
  }
}
