import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** Below this a buffer may share its memory with others, and is not worth the call. */
const releasedBytesMin = 16 * 1024;

/**
 * Gives back the memory of buffers at once. V8 frees a buffer only when it collects its wrapper, and collects the whole
 * heap whenever 64 MiB of buffers have come since the last time: bodies of line protocol alone would make it do so
 * five times a million lines, which costs more than decoding them.
 *
 * A buffer that is transferred to a port without another end is detached and its message dropped (the HTML
 * standard's port message steps; Node.js follows them).
 */
export class BufferRelease {
  readonly #nowhere: MessagePort;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    port2.close();
    this.#nowhere = port1;
  }

  /** Frees the buffer if its memory is its own; nothing can be read from it afterwards. */
  release(bytes: Uint8Array): void {
    const { buffer } = bytes;
    if (bytes.byteLength < releasedBytesMin || bytes.byteLength !== buffer.byteLength) return;
    if (!(buffer instanceof ArrayBuffer)) return;
    try {
      this.#nowhere.postMessage(null, [buffer]);
    } catch {
      // Marked as not to be transferred: it waits for the collector, as it would have anyway.
      return;
    }
  }
}
