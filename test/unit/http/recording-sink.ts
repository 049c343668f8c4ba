import type { TableSchema } from '../../../core/model/schema.js';
import type {
  CommitOptions,
  CommitReport,
  DecodedTable,
  WriteRequest,
  WriteSession,
  WriteSink,
} from '../../../ingest/write-contract.js';

/** A write path that keeps what it is given, for tests of what stands before it. */
export class RecordingSink implements WriteSink {
  readonly requests: WriteRequest[] = [];
  readonly commits: { readonly tables: readonly DecodedTable[]; readonly options: CommitOptions }[] = [];
  schemas: readonly TableSchema[] = [];
  /** What the next commits answer; all rows written by default. */
  answer: ((tables: readonly DecodedTable[]) => CommitReport) | undefined;
  /** Throws at begin. */
  refusal: Error | undefined;

  /** Resolves once a request has begun. */
  readonly untilBegun: Promise<void>;
  #onBegun = (): void => {};

  constructor() {
    this.untilBegun = new Promise((resolve) => {
      this.#onBegun = resolve;
    });
  }

  async begin(request: WriteRequest): Promise<WriteSession> {
    if (this.refusal !== undefined) throw this.refusal;
    this.requests.push(request);
    this.#onBegun();
    return {
      schemaOf: (table) => this.schemas.find((schema) => schema.table === table),
      limits: { columnsMax: 100, tablesMax: 10 },
      commit: async (tables, options) => {
        this.commits.push({ tables, options });
        return this.answer?.(tables) ?? { written: this.#count(tables), rejected: [] };
      },
    };
  }

  /** Rows of all commits. */
  get rowCount(): number {
    return this.commits.reduce((sum, commit) => sum + this.#count(commit.tables), 0);
  }

  #count(tables: readonly DecodedTable[]): number {
    return tables.reduce((sum, table) => sum + table.rows.rowCount, 0);
  }
}
