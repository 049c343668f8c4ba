/** A table that a stream writes. */
export interface TableShape {
  readonly name: string;
  readonly fields: readonly string[];
}

/** Seeded points as line protocol, in bounded memory. */
export interface PointStream {
  readonly tables: readonly TableShape[];
  /** Parts that are written, and measured, one after the other. */
  readonly passes: readonly string[];
  /** Lines of a pass, each with its newline. Passes are asked for in order, each once. */
  lines(pass: number): Iterable<string>;
  /** What the lines given so far hold. */
  readonly totals: Totals;
}

/** When points are: times are whole milliseconds. */
export interface TimeSpan {
  readonly startMs: number;
  readonly stepMs: number;
  readonly steps: number;
}

/** The values of one field over all points: what every system must agree on. */
export interface FieldTotals {
  readonly table: string;
  readonly field: string;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** Keeps the totals of the fields of a table while its points are made. */
export class TableTotals {
  readonly #table: TableShape;
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;
  readonly #minima: Float64Array;
  readonly #maxima: Float64Array;

  constructor(table: TableShape) {
    const { length } = table.fields;
    this.#table = table;
    this.#counts = new Float64Array(length);
    this.#sums = new Float64Array(length);
    this.#minima = new Float64Array(length).fill(Number.POSITIVE_INFINITY);
    this.#maxima = new Float64Array(length).fill(Number.NEGATIVE_INFINITY);
  }

  add(field: number, value: number): void {
    this.#counts[field]! += 1;
    this.#sums[field]! += value;
    if (value < this.#minima[field]!) this.#minima[field] = value;
    if (value > this.#maxima[field]!) this.#maxima[field] = value;
  }

  get list(): readonly FieldTotals[] {
    return this.#table.fields.map((field, index) => ({
      table: this.#table.name,
      field,
      count: this.#counts[index]!,
      sum: this.#sums[index]!,
      min: this.#minima[index]!,
      max: this.#maxima[index]!,
    }));
  }
}

/** Totals of all tables of a stream. */
export interface Totals {
  readonly list: readonly FieldTotals[];
}
