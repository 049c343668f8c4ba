import type { FieldType } from '../../../core/model/columns.js';
import type { TableSchema } from '../../../core/model/schema.js';

type ColumnShape = { readonly kind: 'tag' } | { readonly kind: 'field'; readonly type: FieldType };

interface KnownColumns {
  readonly byName: ReadonlyMap<string, ColumnShape>;
  /** Lower-cased name to name: SQL does not tell names apart by case. */
  readonly byFoldedName: ReadonlyMap<string, string>;
}

const noColumns: KnownColumns = { byName: new Map(), byFoldedName: new Map() };
const compiled = new WeakMap<TableSchema, KnownColumns>();

/**
 * The columns of one table as a request sees them: those of the catalog and those that accepted lines of the
 * request brought. What a line brings can be taken back when the line turns out bad.
 */
export class RequestSchema {
  readonly #table: string;
  readonly #known: KnownColumns;
  readonly #columnsMax: number;
  readonly #added = new Map<string, ColumnShape>();
  readonly #addedFolded = new Map<string, string>();
  /** Names in the order added, for rollBack. */
  readonly #order: string[] = [];

  constructor(table: string, schema: TableSchema | undefined, columnsMax: number) {
    this.#table = table;
    this.#known = schema === undefined ? noColumns : compile(schema);
    this.#columnsMax = columnsMax;
  }

  /** A mark for rollBack. */
  get mark(): number {
    return this.#order.length;
  }

  /** Takes back all that was added since the mark. */
  rollBack(mark: number): void {
    for (const name of this.#order.splice(mark)) {
      this.#added.delete(name);
      this.#addedFolded.delete(name.toLowerCase());
    }
  }

  /** Makes the columns tags of the table; answers what stands against it, or undefined. */
  addTags(names: readonly string[]): string | undefined {
    for (const name of names) {
      const column = this.#find(name);
      if (column?.kind === 'tag') continue;
      if (column !== undefined) {
        return `got "${name}" as a tag of table "${this.#table}"; it is a field there (${column.type})`;
      }
      const problem = this.#add(name, { kind: 'tag' });
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /**
   * Makes the column a field of the table; answers what stands against it, or undefined. `got` describes the
   * value for the message, such as `string "abc"`.
   */
  addField(name: string, type: FieldType, got: () => string): string | undefined {
    const column = this.#find(name);
    if (column === undefined) return this.#add(name, { kind: 'field', type });
    if (column.kind === 'tag') return `got "${name}" as a field of table "${this.#table}"; it is a tag there`;
    return column.type === type ? undefined : typeProblem(this.#table, name, got(), column.type);
  }

  #find(name: string): ColumnShape | undefined {
    return this.#known.byName.get(name) ?? this.#added.get(name);
  }

  #add(name: string, shape: ColumnShape): string | undefined {
    const folded = name.toLowerCase();
    const twin = this.#known.byFoldedName.get(folded) ?? this.#addedFolded.get(folded);
    if (twin !== undefined) {
      return `got new column "${name}" of table "${this.#table}", which has "${twin}"; want names that differ by more than case`;
    }
    const count = this.#known.byName.size + this.#order.length;
    if (count >= this.#columnsMax) {
      return `got new column "${name}" of table "${this.#table}", which has ${count} columns; want at most ${this.#columnsMax}`;
    }
    this.#added.set(name, shape);
    this.#addedFolded.set(folded, name);
    this.#order.push(name);
    return undefined;
  }
}

/** The message for a field whose value has another type than its column. */
export function typeProblem(table: string, name: string, got: string, want: FieldType): string {
  return `field "${name}" of table "${table}": got ${got}; want ${want} as in the table`;
}

function compile(schema: TableSchema): KnownColumns {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const byName = new Map<string, ColumnShape>();
  const byFoldedName = new Map<string, string>();
  for (const column of schema.columns) {
    byName.set(column.name, column.kind === 'tag' ? { kind: 'tag' } : { kind: 'field', type: column.type });
    byFoldedName.set(column.name.toLowerCase(), column.name);
  }
  const columns = { byName, byFoldedName };
  compiled.set(schema, columns);
  return columns;
}
