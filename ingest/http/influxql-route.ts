import type { FastifyInstance } from 'fastify';
import { VarveError } from '../../core/std/errors.js';
import type { WriteSink } from '../write-contract.js';

const createDatabase =
  /^\s*CREATE\s+DATABASE\s+(?:"((?:[^"\\]|\\.)+)"|([A-Za-z_][\w]*))\s*(?:WITH\s[\s\S]*)?;?\s*$/i;

/**
 * Registers POST /query for the one InfluxQL statement that writers send: Telegraf and v1 clients begin with
 * CREATE DATABASE. A WITH clause (retention policies) is read over: retention is a setting of the database here.
 */
export async function registerInfluxqlRoute(server: FastifyInstance, sink: WriteSink): Promise<void> {
  await server.register(async (scope) => {
    // Forms are forms here, as InfluxDB v1 clients send them.
    scope.removeContentTypeParser('application/x-www-form-urlencoded');
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
    scope.route({
      method: 'POST',
      url: '/query',
      handler: async (request) => {
        const statement = parameter(request.body, 'q') ?? parameter(request.query, 'q');
        const match = createDatabase.exec(statement ?? '');
        if (match === null) {
          throw new VarveError(
            'invalid',
            `got InfluxQL ${JSON.stringify((statement ?? '').slice(0, 100))}; want CREATE DATABASE here, and SQL at /api/v3/query_sql`,
          );
        }
        const database = match[2] ?? (match[1] ?? '').replace(/\\(.)/g, '$1');
        await sink.begin({ database });
        return { results: [{ statement_id: 0 }] };
      },
    });
  });
}

function parameter(values: unknown, name: string): string | undefined {
  const value: unknown = new Map(Object.entries(values ?? {})).get(name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
