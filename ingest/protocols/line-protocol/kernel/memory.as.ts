// Part of the kernel, see line-kernel.as.ts: its memory, which is given out from front to back and never taken back.

const pageBytes: usize = 65536;
let end: usize = __heap_base;

/** Gives out so many bytes, at a multiple of 64. They are there once `hasRoom` has said so. */
export function take(bytes: usize): usize {
  const at = (end + 63) & ~63;
  end = at + bytes;
  return at;
}

/** Whether so many bytes more than were given out are there; the memory grows if need be. */
export function hasRoom(bytes: usize): bool {
  const pages = <i32>((end + bytes + pageBytes - 1) / pageBytes);
  const missing = pages - memory.size();
  return missing <= 0 || memory.grow(missing) >= 0;
}
