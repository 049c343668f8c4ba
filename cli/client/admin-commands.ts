import { Command } from 'commander';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { textFlag } from '../flags.js';
import type { ApiClient } from './api-client.js';
import { type ConnectionFlags, commandContext, whileWorking, withConnection } from './command-context.js';
import { storeUsage, storeUsageLines } from './store-usage.js';
import { tableByTable } from './table-by-table.js';

interface DatabaseFlags extends ConnectionFlags {
  readonly db: string;
}

interface TableFlags extends DatabaseFlags {
  readonly table?: string;
}

/** `varve status`: is the server ready, and which databases does it hold. */
export function statusCommand(): Command {
  return withConnection(new Command('status'))
    .description(
      'Says whether the server is ready, how far each database is settled, and what the stores were asked.',
    )
    .action(async (flags: ConnectionFlags) => {
      const { client, print } = commandContext(flags);
      const ready = (await client.json('/ready')) as object;
      const databases = (await client.json('/api/v3/configure/database', {
        query: { format: 'json' },
      })) as readonly DatabaseRow[];
      print(JSON.stringify(ready));
      for (const { 'iox::database': name } of databases) {
        const settled = (await client.json('/api/v1/settled', { query: { db: name } })) as SettledAnswer;
        const rows = settled.tables.reduce((sum, table) => sum + table.rows, 0);
        print(
          `${name}: settled through ${settled.settled_through ?? '-'}, ${settled.tables.length} tables, ${rows} settled rows, ${settled.groups.length} groups in flux`,
        );
      }
      const metrics = await (await client.request('/metrics')).text();
      for (const line of storeUsageLines(storeUsage(metrics))) print(line);
    });
}

interface DatabaseRow {
  readonly 'iox::database': string;
}

interface SettledAnswer {
  readonly settled_through: string | null;
  readonly tables: readonly { readonly rows: number }[];
  readonly groups: readonly unknown[];
}

/** `varve settled`: the answer of GET /api/v1/settled as it is. */
export function settledCommand(): Command {
  return withDatabase(new Command('settled'))
    .description('Shows how far a database is settled, table by table, and what is in flux.')
    .action(async (flags: DatabaseFlags) => {
      const { client, print } = commandContext(flags);
      print(JSON.stringify(await client.json('/api/v1/settled', { query: { db: flags.db } }), null, 2));
    });
}

/** `varve seal`: settles now what ends before a time. */
export function sealCommand(): Command {
  return withDatabase(new Command('seal'))
    .description('Closes and seals now what ends at or before a time, without waiting for its deadline.')
    .option('--before <time>', 'RFC 3339 time (default: now)')
    .action(async (flags: DatabaseFlags & { readonly before?: string }) => {
      const context = commandContext(flags);
      const { client, print } = context;
      const body = {
        db: flags.db,
        before: flags.before ?? new Date(new SystemClock().nowMs()).toISOString(),
      };
      const sealing = client.json('/api/v1/seal', { method: 'POST', body });
      print(JSON.stringify(await whileWorking(context, 'sealing', sealing), null, 2));
    });
}

/** `varve truncate-shards`: gives the rest of the current window to the nodes of today. */
export function truncateShardsCommand(): Command {
  return withConnection(new Command('truncate-shards'))
    .description(
      'Cuts the current windows at now: what is before closes at once, the rest gets owners among the nodes of now.',
    )
    .addOption(textFlag('--db <name>', 'only this database'))
    .action(async (flags: ConnectionFlags & { readonly db?: string }) => {
      const { client, print } = commandContext(flags);
      const body = flags.db === undefined ? {} : { db: flags.db };
      print(JSON.stringify(await client.json('/api/v1/truncate-shards', { method: 'POST', body }), null, 2));
    });
}

/** `varve compact`: merges small files now. */
export function compactCommand(): Command {
  return withDatabase(new Command('compact'))
    .description('Merges small and overlapping files of the settled history now.')
    .addOption(textFlag('--table <name>', 'only this table'))
    .action(async (flags: TableFlags) => {
      const context = commandContext(flags);
      const merge = (client: ApiClient, table: string): Promise<CompactAnswer> =>
        client.json('/api/v1/compact', {
          method: 'POST',
          body: { db: flags.db, table },
        }) as Promise<CompactAnswer>;
      const answers =
        flags.table === undefined
          ? await tableByTable(context, flags.db, 'merging', merge)
          : [await whileWorking(context, 'merging', merge(context.client, flags.table))];
      const tables = answers.flatMap((answer) => answer.tables);
      context.print(JSON.stringify({ database: flags.db, tables }, null, 2));
    });
}

interface CompactAnswer {
  readonly tables: readonly unknown[];
}

/** `varve verify`: reads history back and holds it against its hashes; exit status 1 when something differs. */
export function verifyCommand(): Command {
  return withDatabase(new Command('verify'))
    .description('Reads every settled file back and compares content hashes and history roots.')
    .addOption(textFlag('--table <name>', 'only this table'))
    .action(async (flags: TableFlags) => {
      const context = commandContext(flags);
      const read = (client: ApiClient, table: string): Promise<VerifyAnswer> =>
        client.json('/api/v1/verify', { query: { db: flags.db, table } }) as Promise<VerifyAnswer>;
      const answers =
        flags.table === undefined
          ? await tableByTable(context, flags.db, 'reading', read)
          : [await whileWorking(context, `reading ${flags.table}`, read(context.client, flags.table))];
      const sum = (of: (answer: VerifyAnswer) => number): number =>
        answers.reduce((total, answer) => total + of(answer), 0);
      const differences = answers.flatMap((answer) => answer.differences);
      const report = {
        database: flags.db,
        ok: differences.length === 0,
        files: sum((answer) => answer.files),
        bytes: sum((answer) => answer.bytes),
        tables: answers.flatMap((answer) => answer.tables),
        differences,
      };
      context.print(JSON.stringify(report, null, 2));
      if (!report.ok) process.exitCode = 1;
    });
}

interface VerifyAnswer {
  readonly files: number;
  readonly bytes: number;
  readonly tables: readonly unknown[];
  readonly differences: readonly unknown[];
}

interface CreateFlags extends ConnectionFlags {
  readonly window?: string;
  readonly deadline?: string;
  readonly retention?: string;
  readonly replication?: string;
  readonly shards?: string;
  readonly consistency?: string;
}

/** `varve databases list|create|delete` */
export function databasesCommand(): Command {
  const list = withConnection(new Command('list'))
    .description('Lists the databases.')
    .action(async (flags: ConnectionFlags) => {
      const { client, print } = commandContext(flags);
      print(
        JSON.stringify(
          await client.json('/api/v3/configure/database', { query: { format: 'json' } }),
          null,
          2,
        ),
      );
    });
  const create = withConnection(new Command('create'))
    .description('Makes a database with settings of its own.')
    .argument('<name>')
    .option('--window <duration>', 'length of a window')
    .option('--deadline <duration>', 'grace after the end of a window')
    .option('--retention <duration>', 'how long points are kept (default: for ever)')
    .option('--replication <count>', 'owners a shard')
    .option('--shards <count>', 'shards a shard group')
    .option('--consistency <level>', 'level of writes that name none')
    .action(async (name: string, flags: CreateFlags) => {
      const { client, print } = commandContext(flags);
      const { window, deadline, retention, replication, shards, consistency } = flags;
      const numbers = {
        ...(replication === undefined ? {} : { replication: Number(replication) }),
        ...(shards === undefined ? {} : { shards: Number(shards) }),
      };
      await client.request('/api/v3/configure/database', {
        method: 'POST',
        body: { db: name, window, deadline, retention, consistency, ...numbers },
      });
      print(`made database ${name}`);
    });
  const remove = withConnection(new Command('delete'))
    .description('Deletes a database with everything in it.')
    .argument('<name>')
    .action(async (name: string, flags: ConnectionFlags) => {
      const { client, print } = commandContext(flags);
      await client.request('/api/v3/configure/database', { method: 'DELETE', query: { db: name } });
      print(`deleted database ${name}`);
    });
  return new Command('databases')
    .description('Lists, makes and deletes databases.')
    .addCommand(list)
    .addCommand(create)
    .addCommand(remove);
}

function withDatabase(command: Command): Command {
  return withConnection(command).requiredOption('--db <name>', 'database');
}
