import { parentPort, workerData } from 'node:worker_threads';
import { serveChannel } from '../../core/std/channel.js';
import { DuckDbEngine } from './duckdb-engine.js';
import { engineChannel, engineHandlers } from './engine-channel.js';
import type { EngineOptions } from './engine-settings.js';

/** The thread that the engine lives in. One a process: a second instance would have memory and threads of its own. */
if (parentPort === null)
  throw new Error('engine-worker: got no parent port; want to be started as a worker thread');
const engine = await DuckDbEngine.open(workerData as EngineOptions, () => {
  // Ends this thread alone; the next query starts another, with an engine that works.
  setImmediate(() => process.exit(1));
});
serveChannel(parentPort, engineChannel, engineHandlers(engine));
parentPort.postMessage({ type: 'ready' });
