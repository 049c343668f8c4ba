/**
 * Rows of a chunk are numbered from 0 in the order they came and kept in blocks of 32,768: row r is at
 * `r & blockMask` of block `r >> blockShift`. The first block grows by doubling, so that small tables stay small;
 * later ones are made whole, so that large tables are never copied.
 */
export const blockShift = 15;
/** Rows of a full block. */
export const blockRows = 1 << blockShift;
/** Mask of a row's place within its block. */
export const blockMask = blockRows - 1;

const firstCapacity = 16;

/** Rows for which to allocate so that `rows` rows of the block have room. */
export function blockCapacity(block: number, rows: number): number {
  if (block > 0) return blockRows;
  return Math.min(blockRows, Math.max(firstCapacity, 2 ** Math.ceil(Math.log2(rows))));
}

/** Rows [first, first + count) cut at the edges of blocks: calls `visit` for each part. */
export function forEachBlock(
  first: number,
  count: number,
  visit: (block: number, offset: number, rows: number, done: number) => void,
): void {
  let done = 0;
  while (done < count) {
    const offset = (first + done) & blockMask;
    const rows = Math.min(count - done, blockRows - offset);
    visit((first + done) >>> blockShift, offset, rows, done);
    done += rows;
  }
}
