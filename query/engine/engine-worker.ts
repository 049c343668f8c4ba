import { parentPort, workerData } from 'node:worker_threads';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { serveChannel } from '../../core/std/channel.js';
import { DuckDbEngine } from './duckdb-engine.js';
import { engineChannel, engineHandlers, stuckMessage } from './engine-channel.js';
import type { EngineOptions } from './engine-settings.js';
import { stuckAfterMsDefault } from './engine-watch.js';

/** The thread that the engine lives in. One a process: a second instance would have memory and threads of its own. */
if (parentPort === null)
  throw new Error('engine-worker: got no parent port; want to be started as a worker thread');
const port = parentPort;
const options = workerData as EngineOptions;
const engine = await DuckDbEngine.open(options, {
  clock: new SystemClock(),
  stuckAfterMs: options.stuckAfterMs ?? stuckAfterMsDefault,
  onDefect: (defect) => {
    // Ends this thread alone; the next query starts another, with an engine that works.
    if (defect === 'fatal') setImmediate(() => process.exit(1));
    // This thread cannot end: it would wait for the call that does not come back.
    else port.postMessage(stuckMessage);
  },
});
serveChannel(port, engineChannel, engineHandlers(engine));
port.postMessage({ type: 'ready' });
