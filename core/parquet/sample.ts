import { compress } from '@cloudpss/zstd';
import { ByteSink } from './byte-sink.js';

/** Runs of neighbouring values, spread evenly over a column chunk, from which the cost of an encoding is guessed. */
export interface Sample {
  readonly pieces: readonly { readonly from: number; readonly to: number }[];
  /** Values in all pieces. */
  readonly values: number;
}

const pieceCount = 8;
const pieceValues = 512;
const scratch = new ByteSink(1 << 17);

/** A sample of at most 4,096 of `present` values; a small chunk is its own sample. */
export function sampleOf(present: number): Sample {
  if (present <= pieceCount * pieceValues) return { pieces: [{ from: 0, to: present }], values: present };
  const pieces = Array.from({ length: pieceCount }, (_, piece) => {
    const from = Math.floor(((present - pieceValues) / (pieceCount - 1)) * piece);
    return { from, to: from + pieceValues };
  });
  return { pieces, values: pieceCount * pieceValues };
}

/** The sampled values of a 64-bit column, as lanes. */
export function sampledLanes(lanes: Int32Array, sample: Sample): Int32Array {
  const copy = new Int32Array(sample.values * 2);
  let at = 0;
  for (const { from, to } of sample.pieces) {
    copy.set(lanes.subarray(from * 2, to * 2), at);
    at += (to - from) * 2;
  }
  return copy;
}

/** The sample as `write` encodes it, a view that the next sample overwrites. */
export function sampledBytes(
  sample: Sample,
  write: (from: number, to: number, into: ByteSink) => void,
): Uint8Array {
  scratch.clear();
  for (const { from, to } of sample.pieces) write(from, to, scratch);
  return scratch.written();
}

/** What bytes take after the fastest compression. */
export function compressedSize(bytes: Uint8Array): number {
  return compress(bytes, 1).length;
}
