import { afterAll, beforeAll } from 'vitest';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { S3ObjectStore } from '../../core/adapters/object-store-s3.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { emulatorConnection, type S3Emulator, serviceNames, startS3 } from '../aws/emulators.js';
import { describeObjectStore } from './object-store.js';

let emulator: S3Emulator;
beforeAll(async () => {
  emulator = await startS3();
});
afterAll(() => emulator.close());

let stores = 0;

/** A store under a prefix of its own; pages and parts are small, so that there are several of them. */
function openStore(more: {
  readonly listPageMax?: number;
  readonly parallelReadBytes?: number;
}): S3ObjectStore {
  return new S3ObjectStore({
    location: { bucket: emulator.bucket, prefix: `store-${stores++}` },
    clock: new SystemClock(),
    random: new SystemRandom(),
    connection: emulatorConnection(emulator.endpoint),
    pathStyle: true,
    checksums: emulator.checksums,
    ...more,
  });
}

describeObjectStore(`S3 (${serviceNames.s3})`, async () => {
  const store = openStore({});
  return { store, isFlat: true, close: async () => store.close() };
});

describeObjectStore(`S3 (${serviceNames.s3}), pages of 2 keys, parallel reads`, async () => {
  const store = openStore({ listPageMax: 2, parallelReadBytes: 1 });
  return { store, isFlat: true, close: async () => store.close() };
});
