import { Command } from 'commander';
import { sizeFlag, textFlag } from '../flags.js';
import { armFailpointFromEnvironment } from '../serve/failpoints.js';
import { listenOptions, logOptions, queryOptions, withFlags } from '../serve/serve-flags.js';
import { runUntilStopped } from '../serve/until-stopped.js';
import { clusterOptions, historyOptions } from './cluster-flags.js';
import type { QueryProcessFlags } from './query-process.js';

/** `varve query`: answers SQL. */
export function queryCommand(): Command {
  return withFlags(new Command('query'), [
    [
      'Server:',
      [
        ...listenOptions('8089'),
        textFlag('--cache-dir <path>', 'folder of caches and spill files, of this process alone', './cache'),
        ...logOptions(),
      ],
    ],
    ['Cluster:', [...clusterOptions(), ...historyOptions()]],
    [
      'Queries:',
      [
        ...queryOptions(),
        sizeFlag('--query-hot-bytes <size>', 'points in flux that one query reads', '2GiB'),
      ],
    ],
  ])
    .description('Runs a querier: SQL over what is settled and what is in flux. Any number may run.')
    .addHelpText(
      'after',
      `
Example:
  varve query --meta-store lmdb:./shared/meta --object-store file:./shared/objects --cluster-secret-file secret

It answers \`varve sql --url http://127.0.0.1:8089\`.`,
    )
    .action(async (flags: QueryProcessFlags) => {
      armFailpointFromEnvironment();
      // Loaded only here: what a server is made of takes longer to load than most commands to run.
      const { startQuery } = await import('./query-process.js');
      const running = await startQuery(flags);
      // Before anyone is told that it listens: who reads that may stop it at once.
      runUntilStopped(running);
      process.stdout.write(`varve: listening on ${running.url}\n`);
    });
}
