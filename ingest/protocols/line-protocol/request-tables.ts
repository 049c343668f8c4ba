import type { TableSchema } from '../../../core/model/schema.js';
import { assert } from '../../../core/std/assert.js';
import type { DecodedTable, WriteLimits } from '../../write-contract.js';
import { RequestSchema } from './request-schema.js';
import type { RowMemory } from './row-memory.js';
import type { SeriesInterner } from './series-interner.js';
import { TableBuilder } from './table-builder.js';

/**
 * What a request has brought so far: its tables, and which of the interner's series it has met under which local
 * number. One line at a time may be taken back.
 */
export class RequestTables {
  readonly #interner: SeriesInterner;
  readonly #schemaOf: (table: string) => TableSchema | undefined;
  readonly #limits: WriteLimits;
  readonly #memory: RowMemory;
  /** By the interner's table index. */
  readonly #builders: (TableBuilder | undefined)[] = [];
  readonly #order: TableBuilder[] = [];
  /** By the interner's tag set index: the schema has admitted it. */
  readonly #admitted: boolean[] = [];
  /** By the interner's series: local number + 1 within its table, 0 for not met. */
  #localOf: Int32Array;
  /** What the current line brought, for rollBack; -1 for nothing. */
  #enteredSeries = -1;
  #enteredTagSet = -1;
  #schemaMark = 0;
  #columnMark = 0;
  /** The table of the current line; undefined when there is nothing to take back. */
  current: TableBuilder | undefined;
  /** Set when enter answers -1. */
  problem = '';

  constructor(
    interner: SeriesInterner,
    schemaOf: (table: string) => TableSchema | undefined,
    limits: WriteLimits,
    memory: RowMemory,
  ) {
    this.#interner = interner;
    this.#schemaOf = schemaOf;
    this.#limits = limits;
    this.#memory = memory;
    this.#localOf = interner.takeNumbers();
  }

  /** Begins a line of the series: sets `current`; answers the series' local number, or -1 (see `problem`). */
  begin(series: number): number {
    const tagSet = this.#interner.tagSetOf(series);
    this.#enteredSeries = -1;
    this.#enteredTagSet = -1;
    const local = series < this.#localOf.length ? (this.#localOf[series] as number) : 0;
    const table = this.#builders[this.#interner.tableOfTagSet(tagSet)];
    this.current = undefined;
    if (local === 0 || table === undefined) return this.#enter(series, tagSet);
    this.current = table;
    this.#schemaMark = table.schema.mark;
    this.#columnMark = table.columns.length;
    return local - 1;
  }

  /** Writes the local numbers of series, of tag sets that accepted lines have had, to `into` from `at` on. Hot loop. */
  placeSeries(series: Int32Array, into: Int32Array, at: number): void {
    for (let row = 0; row < series.length; row++) {
      const each = series[row] as number;
      let local = each < this.#localOf.length ? (this.#localOf[each] as number) : 0;
      if (local === 0) {
        local = this.begin(each) + 1;
        assert(local > 0, `numbering series ${each}: ${this.problem}`);
      }
      into[at + row] = local - 1;
    }
  }

  /** Takes back all that the current line has brought. */
  rollBack(): void {
    const table = this.current;
    if (table === undefined) return;
    this.current = undefined;
    table.rollBack(this.#columnMark);
    table.schema.rollBack(this.#schemaMark);
    if (this.#enteredTagSet >= 0) this.#admitted[this.#enteredTagSet] = false;
    if (this.#enteredSeries >= 0) {
      table.seriesIds.pop();
      this.#localOf[this.#enteredSeries] = 0;
    }
    this.#dropIfNew(table);
  }

  /** The tables that have rows, in order of appearance. The request's memory is given back. */
  finish(): DecodedTable[] {
    const tables: DecodedTable[] = [];
    for (const builder of this.#order) {
      for (const series of builder.seriesIds) this.#localOf[series] = 0;
      const decoded = builder.finish(this.#interner);
      if (decoded !== undefined) tables.push(decoded);
    }
    this.#interner.giveBackNumbers(this.#localOf);
    return tables;
  }

  #enter(series: number, tagSet: number): number {
    const table = this.#table(tagSet);
    if (table === undefined) return -1;
    this.#schemaMark = table.schema.mark;
    this.#columnMark = table.columns.length;
    if (this.#admitted[tagSet] !== true) {
      const problem = table.schema.addTags(this.#interner.tagSets[tagSet]?.names ?? []);
      if (problem !== undefined) {
        table.schema.rollBack(this.#schemaMark);
        this.#dropIfNew(table);
        this.problem = problem;
        return -1;
      }
      this.#admitted[tagSet] = true;
      this.#enteredTagSet = tagSet;
    }
    if (series >= this.#localOf.length) this.#growLocals(series + 1);
    const local = table.seriesIds.push(series);
    this.#localOf[series] = local;
    this.#enteredSeries = series;
    this.current = table;
    return local - 1;
  }

  /** A table that only bad lines named must not count against the limit of tables. */
  #dropIfNew(table: TableBuilder): void {
    if (table.rowCount > 0) return;
    table.finish(this.#interner);
    this.#order.splice(this.#order.indexOf(table), 1);
    this.#builders[this.#builders.indexOf(table)] = undefined;
  }

  #table(tagSet: number): TableBuilder | undefined {
    const index = this.#interner.tableOfTagSet(tagSet);
    const known = this.#builders[index];
    if (known !== undefined) return known;
    const { tablesMax, columnsMax } = this.#limits;
    if (this.#order.length >= tablesMax) {
      this.problem = `got more than ${tablesMax} tables; want at most that many in a database`;
      return undefined;
    }
    const name = this.#interner.tagSets[tagSet]?.table ?? '';
    const schema = new RequestSchema(name, this.#schemaOf(name), columnsMax);
    const table = new TableBuilder(name, schema, this.#memory);
    this.#builders[index] = table;
    this.#order.push(table);
    return table;
  }

  #growLocals(needed: number): void {
    const numbers = new Int32Array(Math.max(needed, this.#localOf.length * 2));
    numbers.set(this.#localOf);
    this.#localOf = numbers;
  }
}
