import type { ApiClient } from './api-client.js';
import type { CommandContext } from './command-context.js';

/** A table as GET /api/v1/settled tells of it. */
interface SettledTable {
  readonly table: string;
  readonly bytes: number;
}

/**
 * Asks for one table of a database after the other and shows the share of the settled bytes that is done. Tables
 * without settled bytes count as one byte, so that the bar reaches its end.
 *
 * @returns the answers in the order of the tables
 */
export async function tableByTable<Answer>(
  { client, progress }: CommandContext,
  database: string,
  what: string,
  ask: (client: ApiClient, table: string) => Promise<Answer>,
): Promise<Answer[]> {
  const { tables } = (await client.json('/api/v1/settled', { query: { db: database } })) as {
    readonly tables: readonly SettledTable[];
  };
  const total = tables.reduce((sum, { bytes }) => sum + Math.max(1, bytes), 0);
  const answers: Answer[] = [];
  let done = 0;
  try {
    for (const [index, { table, bytes }] of tables.entries()) {
      progress.update(done, total, `${what} ${table} (${index + 1} of ${tables.length} tables)`);
      answers.push(await ask(client, table));
      done += Math.max(1, bytes);
      progress.update(done, total, `${what} ${table} (${index + 1} of ${tables.length} tables)`);
    }
  } finally {
    progress.finish();
  }
  return answers;
}
