import type { ParquetColumnData, ParquetColumnSpec } from '../../core/parquet/types.js';
import { type FieldGatherer, fieldGathererOf } from './field-gatherers.js';
import type { RowBlock } from './row-block.js';
import type { RowLayout } from './row-layout.js';
import { TagGatherer } from './tag-gatherer.js';

/**
 * Gathers ranges of rows of many blocks as one row group of a file. Hot: ranges are copied column by column, tag
 * codes are re-coded through a table a dictionary; nothing is allocated a row. The arrays are used again for the
 * next row group, so what `columns` gives is good until `clear`.
 */
export class RowGroupBuilder {
  readonly rowsMax: number;
  readonly #layout: RowLayout;
  readonly #micros: BigInt64Array;
  readonly #nanos: Int32Array | null;
  readonly #tags: readonly TagGatherer[];
  readonly #fields: readonly FieldGatherer[];
  #rows = 0;

  constructor(layout: RowLayout, rowsMax: number) {
    this.#layout = layout;
    this.rowsMax = rowsMax;
    this.#micros = new BigInt64Array(rowsMax);
    this.#nanos = layout.hasTimeNs ? new Int32Array(rowsMax) : null;
    this.#tags = layout.tags.map(() => new TagGatherer(rowsMax));
    this.#fields = layout.fields.map(({ type }) => fieldGathererOf(type, rowsMax));
  }

  get rowCount(): number {
    return this.#rows;
  }

  /** Bytes of the strings gathered in fields: what makes a row group large beyond its rows. */
  get stringBytes(): number {
    let bytes = 0;
    for (const field of this.#fields) bytes += field.stringBytes(this.#rows);
    return bytes;
  }

  /** Appends rows [from, to) of the block; they must fit. */
  append(block: RowBlock, from: number, to: number): void {
    const at = this.#rows;
    this.#micros.set(block.micros.subarray(from, to), at);
    if (this.#nanos !== null) {
      if (block.nanos === null) this.#nanos.fill(0, at, at + to - from);
      else this.#nanos.set(block.nanos.subarray(from, to), at);
    }
    for (let tag = 0; tag < this.#tags.length; tag++) {
      this.#tags[tag]?.append(block.tags[tag] ?? null, from, to, at);
    }
    for (let field = 0; field < this.#fields.length; field++) {
      this.#fields[field]?.append(block.fields[field] ?? null, from, to, at);
    }
    this.#rows += to - from;
  }

  /**
   * Lays the present fields of a row over the last row appended: the same point from a source of higher precedence.
   * Returns how many fields had another value.
   */
  overlay(block: RowBlock, row: number): number {
    let conflicts = 0;
    for (let field = 0; field < this.#fields.length; field++) {
      const values = block.fields[field] ?? null;
      if (values === null || (values.validity !== null && values.validity[row] === 0)) continue;
      if (this.#fields[field]?.overlay(values, row, this.#rows - 1) === true) conflicts++;
    }
    return conflicts;
  }

  /** The gathered columns in the order of the layout's specs. */
  columns(): ParquetColumnData[] {
    return this.#layout.specs.map((spec) => this.#columnOf(spec));
  }

  clear(): void {
    this.#rows = 0;
    for (const tag of this.#tags) tag.clear();
    for (const field of this.#fields) field.clear();
  }

  #columnOf(spec: ParquetColumnSpec): ParquetColumnData {
    const rows = this.#rows;
    switch (spec.kind) {
      case 'time':
        return { kind: 'time', micros: this.#micros.subarray(0, rows) };
      case 'time-ns':
        return { kind: 'time-ns', nanos: (this.#nanos ?? new Int32Array(rows)).subarray(0, rows) };
      case 'tag': {
        const tag = this.#layout.tags.findIndex(({ fieldId }) => fieldId === spec.fieldId);
        return { kind: 'tag', tags: (this.#tags[tag] as TagGatherer).gathered(rows) };
      }
      case 'field': {
        const field = this.#layout.fields.findIndex(({ fieldId }) => fieldId === spec.fieldId);
        return (this.#fields[field] as FieldGatherer).gathered(rows);
      }
    }
  }
}
