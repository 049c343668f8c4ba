import type { EncodedBatch } from '../../core/model/batch.js';
import { Wal, type WalOptions } from '../../ingest/wal/wal.js';

/** A log that tells of each batch it is asked to append. */
export class TappedWal extends Wal {
  readonly #onAppend: (batch: EncodedBatch) => void;

  constructor(options: WalOptions, onAppend: (batch: EncodedBatch) => void) {
    super(options);
    this.#onAppend = onAppend;
  }

  override append(batch: EncodedBatch): Promise<void> {
    this.#onAppend(batch);
    return super.append(batch);
  }
}
