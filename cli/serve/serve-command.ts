import { Command } from 'commander';
import { armFailpointFromEnvironment } from './failpoints.js';
import { type ServeFlags, withServeFlags } from './serve-flags.js';
import { runUntilStopped } from './until-stopped.js';

/** `varve serve`: everything in one process. */
export function serveCommand(): Command {
  return withServeFlags(new Command('serve'))
    .description('Runs ingest, compactor and querier in one process on embedded stores.')
    .addHelpText(
      'after',
      `
Examples:
  varve serve --data-dir ./data
  varve serve --host 0.0.0.0 --token-file /etc/varve/tokens
  varve serve --window 10s --deadline 5s --late-delay 5s      settles while you watch`,
    )
    .action(async (flags: ServeFlags) => {
      armFailpointFromEnvironment();
      // Loaded only here: what a server is made of takes longer to load than most commands to run.
      const { startServing } = await import('./serving.js');
      const serving = await startServing(flags);
      // Before anyone is told that it listens: who reads that may stop it at once.
      runUntilStopped(serving);
      process.stdout.write(`varve: listening on ${serving.url}\n`);
    });
}
