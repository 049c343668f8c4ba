/** Smallest piece that a crash keeps or loses as one. */
const sectorBytes = 512;

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number };

/** Bytes that grow; what is added reads as zeros. */
class GrowingBytes {
  #bytes = new Uint8Array(0);
  size = 0;

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.size) this.truncate(end);
    this.#bytes.set(bytes, offset);
  }

  truncate(size: number): void {
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.size));
      this.#bytes = grown;
    }
    if (size < this.size) this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  read(into: Uint8Array, offset: number): number {
    const from = this.#bytes.subarray(Math.min(offset, this.size), Math.min(offset + into.length, this.size));
    into.set(from);
    return from.length;
  }

  content(): Uint8Array {
    return this.#bytes.slice(0, this.size);
  }
}

/** A file of the simulated disk: what readers see, what is durable, and the changes in between. */
export class MemoryInode {
  #current = new GrowingBytes();
  #durable = new GrowingBytes();
  #pending: Change[] = [];

  get size(): number {
    return this.#current.size;
  }

  content(): Uint8Array {
    return this.#current.content();
  }

  read(into: Uint8Array, offset: number): number {
    return this.#current.read(into, offset);
  }

  /** Takes the bytes over: the caller does not change them afterwards. */
  write(bytes: Uint8Array, offset: number): void {
    this.#change({ kind: 'write', offset, bytes });
  }

  truncate(size: number): void {
    this.#change({ kind: 'truncate', size });
  }

  makeDurable(): void {
    for (const change of this.#pending) apply(this.#durable, change);
    this.#pending = [];
  }

  /** What was not durable never will be, though reads go on showing it until a crash. */
  loseUnsynced(): void {
    this.#pending = [];
  }

  /** Keeps of what was not durable the sectors and truncations that `keep` says. */
  crash(keep: () => boolean): void {
    for (const change of this.#pending) {
      if (change.kind === 'truncate') {
        if (keep()) apply(this.#durable, change);
        continue;
      }
      const { bytes, offset } = change;
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + sectorBytes - ((offset + at) % sectorBytes));
        if (keep()) this.#durable.write(bytes.subarray(at, end), offset + at);
        at = end;
      }
    }
    this.#pending = [];
    this.#current = new GrowingBytes();
    this.#current.write(this.#durable.content(), 0);
  }

  #change(change: Change): void {
    apply(this.#current, change);
    this.#pending.push(change);
  }
}

function apply(bytes: GrowingBytes, change: Change): void {
  if (change.kind === 'write') bytes.write(change.bytes, change.offset);
  else bytes.truncate(change.size);
}
