import { Command } from 'commander';
import { durationFlag } from '../flags.js';
import { armFailpointFromEnvironment } from '../serve/failpoints.js';
import { compactionOptions, listenOptions, logOptions, withFlags } from '../serve/serve-flags.js';
import { runUntilStopped } from '../serve/until-stopped.js';
import { clusterOptions, historyOptions } from './cluster-flags.js';
import type { CompactorProcessFlags } from './compactor-process.js';

/** `varve compactor`: settles what is due and keeps history tidy. */
export function compactorCommand(): Command {
  return withFlags(new Command('compactor'), [
    ['Server:', [...listenOptions('8088'), ...logOptions()]],
    ['Cluster:', [...clusterOptions(), ...historyOptions()]],
    [
      'Compaction:',
      [
        ...compactionOptions(),
        durationFlag('--lease-ttl <duration>', 'how long others wait when this one is gone', '15s'),
        durationFlag(
          '--ephemeral-silence <duration>',
          'an ephemeral node that is silent for this long and does not answer is declared lost',
          '60s',
        ),
      ],
    ],
  ])
    .description(
      'Runs a compactor: settles what is due, merges, expires. Several may run; one at a time works.',
    )
    .addHelpText(
      'after',
      `
Example:
  varve compactor --meta-store lmdb:./shared/meta --object-store file:./shared/objects --cluster-secret-file secret

It answers \`varve status|settled|seal|compact|verify --url http://127.0.0.1:8088\`.`,
    )
    .action(async (flags: CompactorProcessFlags) => {
      armFailpointFromEnvironment();
      // Loaded only here: what a server is made of takes longer to load than most commands to run.
      const { startCompactor } = await import('./compactor-process.js');
      const running = await startCompactor(flags);
      // Before anyone is told that it listens: who reads that may stop it at once.
      runUntilStopped(running);
      process.stdout.write(`varve: listening on ${running.url}\n`);
    });
}
