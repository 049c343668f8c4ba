#!/usr/bin/env node
import { Command } from 'commander';
import { errorMessage, isVarveError } from '../core/std/errors.js';
import {
  compactCommand,
  databasesCommand,
  sealCommand,
  settledCommand,
  statusCommand,
  truncateShardsCommand,
  verifyCommand,
} from './client/admin-commands.js';
import { ApiError } from './client/api-client.js';
import { sqlCommand, writeCommand } from './client/data-commands.js';
import { hintsCommand } from './client/hint-command.js';
import { drainCommand, nodesCommand } from './client/node-commands.js';
import { compactorCommand } from './cluster/compactor-command.js';
import { ingestCommand } from './cluster/ingest-command.js';
import { queryCommand } from './cluster/query-command.js';
import { serveCommand } from './serve/serve-command.js';
import { productVersion } from './version.js';

const program = new Command('varve')
  .description('Varve: metrics that stay writable, settle into Iceberg tables, and then never change.')
  .version(productVersion())
  // So that what follows `nodes forget` belongs to forget, although `nodes` has flags of the same names.
  .enablePositionalOptions()
  .showHelpAfterError('(--help shows what there is)')
  .addCommand(serveCommand())
  .addCommand(ingestCommand())
  .addCommand(compactorCommand())
  .addCommand(queryCommand())
  .addCommand(writeCommand())
  .addCommand(sqlCommand())
  .addCommand(statusCommand())
  .addCommand(settledCommand())
  .addCommand(sealCommand())
  .addCommand(truncateShardsCommand())
  .addCommand(compactCommand())
  .addCommand(verifyCommand())
  .addCommand(databasesCommand())
  .addCommand(nodesCommand())
  .addCommand(drainCommand())
  .addCommand(hintsCommand())
  .addHelpText(
    'after',
    `
Every flag can also be given as an environment variable: --hot-bytes-max as VARVE_HOT_BYTES_MAX.
Durations are written 10s, 5m, 1h, 7d; sizes 64MiB, 2GiB.

First steps:
  varve serve --data-dir ./data
  varve write --db metrics points.lp
  varve sql --db metrics "SHOW TABLES"

\`varve serve\` is all in one process. \`varve ingest\`, \`varve compactor\` and \`varve query\` are its parts as processes
of their own over shared stores; docs/cluster.md tells how they work together.`,
  );

try {
  await program.parseAsync();
} catch (error) {
  const isForUsers = error instanceof ApiError || isVarveError(error) || isSystemError(error);
  const stack = error instanceof Error ? error.stack : undefined;
  process.stderr.write(`varve: ${isForUsers ? errorMessage(error) : (stack ?? String(error))}\n`);
  process.exitCode = 1;
}

/** What the system or a codec refused (ENOENT, EADDRINUSE, Z_BUF_ERROR): its message says what; a stack says no more. */
function isSystemError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    /^(E|Z_)[A-Z0-9_]+$/.test(String(error.code)) &&
    !String(error.code).startsWith('ERR_')
  );
}
