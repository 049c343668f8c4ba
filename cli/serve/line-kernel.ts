import { readFileSync } from 'node:fs';
import { errorMessage } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { workerUrl } from '../../core/std/worker-url.js';

const kernelUrl = workerUrl(import.meta.url, '../../ingest/protocols/line-protocol/kernel/line-kernel.wasm');

/**
 * The compiled kernel of the line-protocol decoder; undefined, with a warning, where it was not built or this machine
 * has no SIMD in WebAssembly. Lines are then decoded in JavaScript alone, with the same rows, in more time.
 */
export function loadLineKernel(logger: Logger): WebAssembly.Module | undefined {
  try {
    const bytes = readFileSync(kernelUrl);
    if (WebAssembly.validate(bytes)) return new WebAssembly.Module(bytes);
    logger.warn(
      {},
      'WebAssembly has no SIMD here; line protocol is decoded in JavaScript, which takes longer',
    );
  } catch (error) {
    logger.warn(
      { error: errorMessage(error) },
      'the line-protocol kernel cannot be loaded; lines are decoded in JavaScript, which takes longer',
    );
  }
  return undefined;
}
