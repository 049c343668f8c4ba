import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import { Hints } from '../../ingest/hints/hints.js';
import type { DataDirectory } from '../serve/data-directory.js';
import type { Ground } from '../serve/ground.js';
import type { HintFlags } from './hint-flags.js';
import { hintMetrics, registerHintGauges } from './hint-metrics.js';

/** Opens the hints of earlier starts. They are sent once the node has recovered. */
export async function openHints(ground: Ground, directory: DataDirectory, flags: HintFlags): Promise<Hints> {
  const { clock, random, logger, registry } = ground;
  const hints = await Hints.open({
    disk: new FileSystemDisk(directory.path),
    directory: 'hints',
    clock,
    random,
    logger: logger.child({ room: 'hints' }),
    metrics: hintMetrics(registry),
    bytesMax: flags.hintBytesMax,
    ageMsMax: flags.hintAgeMax,
    replay: { bytesPerSecond: flags.hintReplayRate },
  });
  registerHintGauges(registry, hints, clock);
  return hints;
}
