import { VarveError } from '../../core/std/errors.js';
import { armFailpoint, type FailpointName, failpointNames } from '../../core/std/failpoint.js';

/**
 * Arms the failpoint that VARVE_FAILPOINT names (`name` or `name:N`, the N-th time it is reached): the process ends as
 * by a power cut. For tests; called in the main thread and in each worker of a composition root.
 */
export function armFailpointFromEnvironment(): void {
  const text = process.env['VARVE_FAILPOINT'];
  if (text === undefined || text === '') return;
  const [name = '', count = '1'] = text.split(':');
  if (!isFailpoint(name)) {
    throw new VarveError(
      'invalid',
      `VARVE_FAILPOINT: got "${name}"; want one of ${failpointNames.join(', ')}`,
    );
  }
  armFailpoint(name, Number(count), () => {
    process.kill(process.pid, 'SIGKILL');
    // The signal strikes another thread first; nothing more may be done on this one.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
}

function isFailpoint(name: string): name is FailpointName {
  return (failpointNames as readonly string[]).includes(name);
}
