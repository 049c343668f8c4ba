import { Command } from 'commander';
import { formatDurationMs, formatSizeBytes } from '../../core/std/units.js';
import { type ConnectionFlags, commandContext, withConnection } from './command-context.js';
import { textTable } from './text-table.js';

/** A destination as GET /api/v1/hints tells of it. */
interface DestinationRow {
  readonly node: string;
  readonly state: string;
  readonly hints: number;
  readonly bytes: number;
  readonly oldest_age_seconds: number | null;
  readonly replayed: number;
  readonly sealed: number;
  readonly rerouted: number;
  readonly dropped: number;
  readonly expired: number;
  readonly damaged: number;
  readonly next_attempt: string | null;
  readonly last_error: string | null;
}

interface HintsAnswer {
  readonly node: string;
  readonly destinations: readonly DestinationRow[];
}

/** `varve hints`: what an ingest node keeps for others. */
export function hintsCommand(): Command {
  return withConnection(new Command('hints'))
    .description(
      'Shows what an ingest node of a cluster keeps for owners that it could not reach, and what became of it.',
    )
    .option('--json', 'the answer of GET /api/v1/hints as it is', false)
    .action(async (flags: ConnectionFlags & { readonly json: boolean }) => {
      const { client, print } = commandContext(flags);
      const answer = (await client.json('/api/v1/hints')) as HintsAnswer;
      print(flags.json ? JSON.stringify(answer, null, 2) : hintTable(answer));
    });
}

function hintTable({ node, destinations }: HintsAnswer): string {
  if (destinations.length === 0) return `node ${node} keeps no hints`;
  const ends = ['replayed', 'sealed', 'rerouted', 'dropped', 'expired', 'damaged'] as const;
  const head = ['for node', 'state', 'hints', 'bytes', 'oldest', ...ends, 'next attempt'];
  const cells = destinations.map((row) => [
    row.node,
    row.state,
    String(row.hints),
    formatSizeBytes(row.bytes),
    row.oldest_age_seconds === null ? '-' : formatDurationMs(Math.round(row.oldest_age_seconds) * 1000),
    ...ends.map((end) => String(row[end])),
    row.next_attempt ?? '-',
  ]);
  const errors = destinations.flatMap((row) =>
    row.last_error === null ? [] : [`${row.node}: ${row.last_error}`],
  );
  return [textTable([head, ...cells]), ...errors].join('\n');
}
