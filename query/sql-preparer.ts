import { VarveError } from '../core/std/errors.js';
import type { QueryEngine } from './engine/query-engine.js';
import { type AstNode, parseAst } from './plan/ast.js';
import { checkSql, type SqlFacts } from './plan/sql-check.js';
import { readCommand, type SqlCommand } from './plan/sql-command.js';

/** A statement that has been parsed and admitted. Immutable: one serves every request with the same text. */
export interface PreparedSql {
  readonly command: SqlCommand;
  readonly tree: AstNode;
  readonly root: AstNode;
  readonly facts: SqlFacts;
}

/** Parsing and admission hold the thread that takes writes: about a second for a text of this length. */
const sqlCharactersMax = 250_000;
/** Texts longer than this are not worth their memory. */
const keptCharactersMax = 20_000;
const keptMax = 256;

/** Parses and admits SQL, remembering the texts that came last. */
export class SqlPreparer {
  readonly #engine: QueryEngine;
  readonly #kept = new Map<string, PreparedSql>();

  constructor(engine: QueryEngine) {
    this.#engine = engine;
  }

  /** `invalid` when it is no SELECT, is wrong, or asks for what is refused; `not-found` for a foreign schema. */
  async prepare(sql: string, signal?: AbortSignal): Promise<PreparedSql> {
    const known = this.#kept.get(sql);
    if (known !== undefined) {
      this.#kept.delete(sql);
      this.#kept.set(sql, known);
      return known;
    }
    if (sql.length > sqlCharactersMax) {
      throw new VarveError(
        'invalid',
        `query: got SQL of ${sql.length} characters; want at most ${sqlCharactersMax}`,
      );
    }
    const command = readCommand(sql);
    const parsed = await this.#engine.parse(command.sql, signal);
    const { tree, root } = parseAst(parsed.ast);
    const facts = checkSql(root);
    // Without CTEs every name was looked up, and there is nothing to disagree about.
    if (facts.hasCtes) checkSecondOpinion(facts, await this.#engine.tableNames(command.sql, signal));
    const prepared: PreparedSql = { command, tree, root, facts };
    if (sql.length <= keptCharactersMax) this.#keep(sql, prepared);
    return prepared;
  }

  #keep(sql: string, prepared: PreparedSql): void {
    this.#kept.set(sql, prepared);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= keptMax) return;
      this.#kept.delete(oldest);
    }
  }
}

/** Should our rules of scope and the engine's ever differ, the engine's would read a table that was not admitted. */
function checkSecondOpinion(facts: SqlFacts, tableNames: readonly string[]): void {
  const admitted = new Set(facts.tables.map((table) => table.name.toLowerCase()));
  const foreign = tableNames.find((name) => !admitted.has(name.toLowerCase()));
  if (foreign !== undefined) {
    throw new VarveError(
      'not-found',
      `query: got table ${JSON.stringify(foreign)}; want a table of the database`,
    );
  }
}
