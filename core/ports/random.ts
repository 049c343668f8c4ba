/** Randomness as the code sees it, so that a seed can drive a whole cluster. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Fills and returns `length` random bytes. */
  bytes(length: number): Uint8Array;
}
