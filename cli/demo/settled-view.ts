import type { ApiClient } from '../client/api-client.js';

/** What GET /api/v1/settled tells, as far as the demo shows it. */
export interface SettledView {
  readonly settledThroughMs: number;
  readonly openGroups: number;
  readonly closingGroups: number;
  readonly tables: readonly {
    readonly table: string;
    readonly rows: number;
    readonly files: number;
    readonly bytes: number;
  }[];
}

/** Asks how far the database is settled. */
export async function readSettled(client: ApiClient, database: string): Promise<SettledView> {
  const answer = (await client.json('/api/v1/settled', { query: { db: database } })) as {
    readonly settled_through: string | null;
    readonly tables: readonly {
      readonly table: string;
      readonly rows: number;
      readonly files: number;
      readonly bytes: number;
    }[];
    readonly groups: readonly { readonly state: string }[];
  };
  return {
    settledThroughMs:
      answer.settled_through === null ? Number.NEGATIVE_INFINITY : Date.parse(answer.settled_through),
    openGroups: answer.groups.filter((group) => group.state === 'open').length,
    closingGroups: answer.groups.filter((group) => group.state === 'closing').length,
    tables: answer.tables,
  };
}
