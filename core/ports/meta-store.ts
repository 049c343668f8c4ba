/**
 * Small items under compare-and-set. One item at a time is all it offers and all that is used of it.
 * Keys are slash-separated text (at most 1,024 bytes of UTF-8, not empty); values are text (JSON), at most 350 KiB.
 *
 * A put whose first try did apply and is retried by the adapter is recognised as our own (a nonce in the item)
 * and answered `applied`, never `conflict`.
 */
export interface MetaStore {
  get(key: string, signal?: AbortSignal): Promise<MetaItem | undefined>;
  /**
   * Items whose key starts with `prefix`, in key order (by bytes). Each item is read consistently; the whole is not
   * one snapshot. A prefix has at least its first segment and slash (`kind/…`), so that a store may part items by it.
   */
  range(prefix: string, signal?: AbortSignal): Promise<readonly MetaItem[]>;
  /** Writes if the item's version is `expectedVersion` (`null`: if there is no item). Durable when it resolves. */
  put(
    key: string,
    value: string,
    expectedVersion: number | null,
    signal?: AbortSignal,
  ): Promise<MetaPutResult>;
  /** Deletes if the version is `expectedVersion`. */
  delete(key: string, expectedVersion: number, signal?: AbortSignal): Promise<MetaDeleteResult>;
  check(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface MetaItem {
  readonly key: string;
  readonly value: string;
  /** Grows with every put of this key; a deleted and re-made item may start again at 1. */
  readonly version: number;
}

export type MetaPutResult =
  | { readonly kind: 'applied'; readonly version: number }
  | { readonly kind: 'conflict' };
export type MetaDeleteResult = { readonly kind: 'applied' } | { readonly kind: 'conflict' };
