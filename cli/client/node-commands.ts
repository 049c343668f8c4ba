import { Command } from 'commander';
import { VarveError } from '../../core/std/errors.js';
import { formatDurationMs, formatSizeBytes } from '../../core/std/units.js';
import type { ApiClient } from './api-client.js';
import {
  type CommandContext,
  type ConnectionFlags,
  commandContext,
  whileWorking,
  withConnection,
} from './command-context.js';
import { textTable } from './text-table.js';

/** A node as GET /api/v1/nodes tells of it. */
interface NodeRow {
  readonly node: string;
  readonly epoch: number;
  readonly state: 'live' | 'draining' | 'left' | 'lost';
  readonly address: string | null;
  readonly heartbeat_age_seconds: number;
  readonly groups_owned: number;
  readonly hints: number;
  readonly hint_bytes: number;
}

/** `varve nodes` and `varve nodes forget NODE`. */
export function nodesCommand(): Command {
  const forget = withConnection(new Command('forget'))
    .description(
      'Declares a node lost for good: others take its place in what is in flux, and it is never let in again.',
    )
    .argument('<node>')
    .option('--yes', 'what only this node holds, acknowledged by one copy alone, is lost with it', false)
    .action(async (node: string, flags: ConnectionFlags & { readonly yes: boolean }) => {
      const { client, print } = commandContext(flags);
      if (!flags.yes) throw new VarveError('invalid', forgetWarning(node, await nodeRow(client, node)));
      await client.json('/api/v1/nodes/forget', { method: 'POST', body: { node } });
      print(`node ${node} is lost: others take its place`);
    });
  return withConnection(new Command('nodes').enablePositionalOptions())
    .description('Lists the ingest nodes: state, last heartbeat, what they own in flux and keep for others.')
    .option('--json', 'the answer of GET /api/v1/nodes as it is', false)
    .action(async (flags: ConnectionFlags & { readonly json: boolean }) => {
      const { client, print } = commandContext(flags);
      const rows = await nodeRows(client);
      print(flags.json ? JSON.stringify({ nodes: rows }, null, 2) : nodeTable(rows));
    })
    .addCommand(forget);
}

/** `varve drain NODE`: takes a node out of the cluster without losing what it holds. */
export function drainCommand(): Command {
  return withConnection(new Command('drain'))
    .description(
      'Takes an ingest node out: it owns no new groups, hands over its hints, and ends once its groups are settled.',
    )
    .argument('<node>')
    .option('--wait', 'until the node has left', false)
    .addHelpText(
      'after',
      `
The node's windows settle at their deadlines. \`varve truncate-shards\` after the drain shortens that: the current window
goes to the other nodes at once.`,
    )
    .action(async (node: string, flags: ConnectionFlags & { readonly wait: boolean }) => {
      const context = commandContext(flags);
      const row = (await context.client.json('/api/v1/nodes/drain', {
        method: 'POST',
        body: { node },
      })) as NodeRow;
      context.print(`node ${node} is ${row.state}; it owns ${row.groups_owned} groups in flux`);
      if (!flags.wait) return;
      await whileWorking(context, `waiting until node ${node} has left`, untilLeft(context, node));
      context.print(`node ${node} has left`);
    });
}

const pollMs = 1000;

async function untilLeft({ client, sleep }: CommandContext, node: string): Promise<void> {
  for (;;) {
    const row = await nodeRow(client, node);
    if (row.state === 'left') return;
    if (row.state !== 'draining') {
      throw new VarveError('conflict', `node ${node} is ${row.state} by now; want it draining`);
    }
    await sleep(pollMs);
  }
}

async function nodeRows(client: ApiClient): Promise<readonly NodeRow[]> {
  return ((await client.json('/api/v1/nodes')) as { readonly nodes: readonly NodeRow[] }).nodes;
}

async function nodeRow(client: ApiClient, node: string): Promise<NodeRow> {
  const rows = await nodeRows(client);
  const row = rows.find((candidate) => candidate.node === node);
  if (row !== undefined) return row;
  const names = rows.map((candidate) => candidate.node).join(', ');
  throw new VarveError('not-found', `got node "${node}"; want one of ${names}`);
}

function forgetWarning(node: string, row: NodeRow): string {
  return `forget ${node}: it owns ${row.groups_owned} groups in flux and was heard of ${ageText(row)} ago. Others take its place and fill up from the copies that are left; what only it holds is lost, and it is never let in again. Want --yes if its data directory is gone for good; if it is not, start the node again`;
}

function ageText(row: NodeRow): string {
  return formatDurationMs(Math.round(row.heartbeat_age_seconds) * 1000);
}

function nodeTable(rows: readonly NodeRow[]): string {
  const head = ['node', 'state', 'epoch', 'heartbeat', 'groups', 'hints', 'hint bytes', 'address'];
  const cells = rows.map((row) => [
    row.node,
    row.state,
    String(row.epoch),
    `${ageText(row)} ago`,
    String(row.groups_owned),
    String(row.hints),
    formatSizeBytes(row.hint_bytes),
    row.address ?? '-',
  ]);
  return textTable([head, ...cells]);
}
