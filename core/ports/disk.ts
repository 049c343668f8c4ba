/**
 * Local files as the WAL sees them: explicit about what is durable. Paths are relative to the disk's root and
 * slash-separated. Errors: `not-found`, `exhausted` (no space left), `unavailable` (any other I/O failure).
 */
export interface Disk {
  makeDirectory(path: string): Promise<void>;
  /** Names (not paths) in the directory, sorted. Empty when it does not exist. */
  list(path: string): Promise<readonly string[]>;
  /** Opens for reading and writing; `create` makes an empty file, or fails with `conflict` if there is one. */
  open(path: string, mode: 'existing' | 'create'): Promise<DiskFile>;
  /** Durable only after syncDirectory of the directories concerned. Replaces an existing `to`. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that can still be written, as the file system tells. */
  freeBytes(): Promise<number>;
}

export interface DiskFile {
  /** Current length in bytes. */
  size(): Promise<number>;
  /** Reads up to `into.length` bytes at `offset`; fewer only at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all of `bytes` at `offset`. Not durable before sync. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  truncate(size: number): Promise<void>;
  /** fdatasync: what was written is durable when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
