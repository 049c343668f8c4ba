import { VarveError } from '../core/std/errors.js';
import type { QueryEngine } from './engine/query-engine.js';
import { type AstNode, parseAst, rootOf } from './plan/ast.js';
import { checkSql, type SqlFacts } from './plan/sql-check.js';
import { readCommand, type SqlCommand } from './plan/sql-command.js';
import { instanceOf, type SqlTemplate, skeletonOf, templateOf } from './plan/sql-template.js';

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

/** Parses and admits SQL, remembering the texts that came last, and the trees of those that differ in literals alone. */
export class SqlPreparer {
  readonly #engine: QueryEngine;
  readonly #kept = new Map<string, PreparedSql>();
  readonly #templates = new Map<string, SqlTemplate>();

  constructor(engine: QueryEngine) {
    this.#engine = engine;
  }

  /** `invalid` when it is no SELECT, is wrong, or asks for what is refused; `not-found` for a foreign schema. */
  async prepare(sql: string, signal?: AbortSignal): Promise<PreparedSql> {
    const known = recall(this.#kept, sql);
    if (known !== undefined) return known;
    if (sql.length > sqlCharactersMax) {
      throw new VarveError(
        'invalid',
        `query: got SQL of ${sql.length} characters; want at most ${sqlCharactersMax}`,
      );
    }
    const command = readCommand(sql);
    const tree = await this.#tree(command.sql, signal);
    const root = rootOf(tree);
    // Also of a tree that was not parsed for this text: what is admitted is what was looked at.
    const facts = checkSql(root);
    // Without CTEs every name was looked up, and there is nothing to disagree about.
    if (facts.hasCtes) checkSecondOpinion(facts, await this.#engine.tableNames(command.sql, signal));
    const prepared: PreparedSql = { command, tree, root, facts };
    if (sql.length <= keptCharactersMax) keep(this.#kept, sql, prepared);
    return prepared;
  }

  async #tree(sql: string, signal: AbortSignal | undefined): Promise<AstNode> {
    const skeleton = sql.length <= keptCharactersMax ? skeletonOf(sql) : undefined;
    const known = skeleton === undefined ? undefined : recall(this.#templates, skeleton.key);
    if (known !== undefined && skeleton !== undefined) return instanceOf(known, skeleton);
    const { tree } = parseAst((await this.#engine.parse(sql, signal)).ast);
    const template = skeleton === undefined ? undefined : templateOf(tree, skeleton);
    if (template !== undefined && skeleton !== undefined) keep(this.#templates, skeleton.key, template);
    return tree;
  }
}

/** What was kept under the key, from now on the most recently used. */
function recall<Value>(kept: Map<string, Value>, key: string): Value | undefined {
  const known = kept.get(key);
  if (known === undefined) return undefined;
  kept.delete(key);
  kept.set(key, known);
  return known;
}

function keep<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.set(key, value);
  for (const oldest of kept.keys()) {
    if (kept.size <= keptMax) return;
    kept.delete(oldest);
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
