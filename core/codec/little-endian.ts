import { assert } from '../std/assert.js';

/**
 * Byte formats are little-endian and columns are copied and viewed as they lie in memory, so the platform must be
 * little-endian too. Every codec that relies on it calls this once, when its module is loaded.
 */
export function assertLittleEndian(): void {
  assert(
    new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
    'this platform is big-endian; want little-endian',
  );
}
