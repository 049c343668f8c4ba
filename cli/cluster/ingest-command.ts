import { Command } from 'commander';
import { replicationMax } from '../../core/catalog/database-settings.js';
import { countFlag, durationFlag, textFlag } from '../flags.js';
import { armFailpointFromEnvironment } from '../serve/failpoints.js';
import { databaseOptions, limitOptions, listenOptions, logOptions, withFlags } from '../serve/serve-flags.js';
import { runUntilStopped } from '../serve/until-stopped.js';
import { clusterOptions } from './cluster-flags.js';
import { ephemeralOptions } from './ephemeral-flags.js';
import { hintOptions } from './hint-flags.js';
import type { IngestProcessFlags } from './ingest-process.js';

/** `varve ingest`: takes writes and holds what is in flux. */
export function ingestCommand(): Command {
  return withFlags(new Command('ingest'), [
    [
      'Server:',
      [
        ...listenOptions('8086'),
        textFlag('--data-dir <path>', 'folder of the write-ahead log, of this node alone', './data'),
        textFlag(
          '--node-id <name>',
          'name of this node, kept with its data directory; ecs:task takes the id of the task of Amazon ECS',
          'node-1',
        ),
        ...logOptions(),
        durationFlag(
          '--figures-interval <duration>',
          'how often figures of hints are logged; 0s never',
          '0s',
        ),
      ],
    ],
    [
      'Cluster:',
      [
        ...clusterOptions(),
        textFlag('--peer-host <address>', 'address where other processes of the cluster call', '127.0.0.1'),
        countFlag('--peer-port <number>', 'port where they call; 0 picks a free one', '8087', 0, 65_535),
        textFlag(
          '--advertise <url>',
          'where they reach it; ecs:task takes the address of the task (default: peer host and port)',
        ),
        durationFlag('--heartbeat-interval <duration>', 'how often the node says that it lives', '3s'),
        durationFlag(
          '--node-silence-max <duration>',
          'a node that has not said so for this long owns nothing new',
          '10s',
        ),
        durationFlag(
          '--write-timeout <duration>',
          'an owner that has not answered by then has failed',
          '10s',
        ),
        durationFlag(
          '--clock-skew-max <duration>',
          'a clock further from those of most nodes makes /ready fail',
          '500ms',
        ),
      ],
    ],
    ['Disk that goes with the process:', ephemeralOptions()],
    [
      'Settings of databases made by a first write:',
      [...databaseOptions(), countFlag('--replication <count>', 'owners a shard', '1', 1, replicationMax)],
    ],
    ['Limits:', limitOptions()],
    ['Hints, kept for owners that cannot be reached:', hintOptions()],
  ])
    .description('Runs an ingest node: takes writes, and holds what is in flux for compactors and queriers.')
    .addHelpText(
      'after',
      `
Example, with \`varve compactor\` and \`varve query\` beside it:
  (umask 077; openssl rand -hex 32 > secret)
  varve ingest --meta-store lmdb:./shared/meta --cluster-secret-file secret --data-dir ./ingest`,
    )
    .action(async (flags: IngestProcessFlags) => {
      armFailpointFromEnvironment();
      // Loaded only here: what a server is made of takes longer to load than most commands to run.
      const { startIngest } = await import('./ingest-process.js');
      const running = await startIngest(flags);
      // Before anyone is told that it listens: who reads that may stop it at once.
      const left = running.left.then(() => {
        process.stdout.write(
          `varve: node ${running.node} has left the cluster; nothing is kept here any more\n`,
        );
      });
      runUntilStopped(running, left);
      process.stdout.write(`varve: peers reach this node at ${running.peerAddress}\n`);
      process.stdout.write(`varve: listening on ${running.url}\n`);
    });
}
