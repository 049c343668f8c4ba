import { packStrings } from '../../core/model/columns.js';
import { compareUtf8, firstColumnFieldId, type TableSchema } from '../../core/model/schema.js';
import type { ParquetColumnData, ParquetColumnSpec, TagCodes } from '../../core/parquet/types.js';
import { type CpuOnlyOptions, CpuWalk, cpuFields, cpuHosts, cpuTags } from './cpu-only.js';

/** Rows of a row group of a settled file. */
export const rowGroupRows = 100_000;

/** The columns of cpu-only's table, as a catalog would number them. */
export function cpuSchema(options: Pick<CpuOnlyOptions, 'kind' | 'table'>): TableSchema {
  const type = options.kind === 'int' ? 'bigint' : 'double';
  const names = [...cpuTags, ...cpuFields];
  return {
    table: options.table ?? 'cpu',
    hasTimeNs: false,
    columns: names.map((name, index) =>
      index < cpuTags.length
        ? { name, kind: 'tag', type: 'string', fieldId: firstColumnFieldId + index }
        : { name, kind: 'field', type, fieldId: firstColumnFieldId + index },
    ),
  };
}

/** Takes rows as they become row groups; `mayEndFile` where the next row is of another host. */
export interface RowGroupSink {
  rowGroup(rows: number, columns: readonly ParquetColumnData[], mayEndFile: boolean): Promise<void>;
}

/**
 * The points of cpu-only sorted as settled files are: by tags in order of their names, then time. Made step range by
 * step range, column by column, without a line being written. Hot: typed arrays only.
 */
export class SortedCpuRows {
  readonly #options: CpuOnlyOptions;
  readonly #walk: CpuWalk;
  /** Hosts in sort order. */
  readonly #order: readonly number[];
  readonly #tags: ReadonlyMap<string, TagCodes & { readonly codeOfHost: Int32Array }>;
  readonly #micros = new BigInt64Array(rowGroupRows);
  readonly #values: readonly (BigInt64Array | Float64Array)[];
  /** The values again: as pairs of 32 bits for whole numbers, little-endian, or as doubles. */
  readonly #lanes: readonly (Int32Array | Float64Array)[];
  #rows = 0;

  constructor(options: CpuOnlyOptions) {
    const hosts = cpuHosts(options.hosts, options.seed);
    this.#options = options;
    this.#walk = new CpuWalk(options);
    this.#order = hosts.map((_, host) => host).sort((a, b) => compareHosts(hosts[a] ?? [], hosts[b] ?? []));
    this.#tags = new Map(
      cpuTags.map((tag, index) => [tag, encodeTag(hosts.map((host) => host[index] ?? ''))]),
    );
    this.#values = cpuFields.map(() =>
      options.kind === 'int' ? new BigInt64Array(rowGroupRows) : new Float64Array(rowGroupRows),
    );
    this.#lanes = this.#values.map((values) =>
      values instanceof Float64Array ? values : new Int32Array(values.buffer),
    );
  }

  /** Gives the rows of steps [from, to) of all hosts. Ranges are asked for in order. */
  async write(
    from: number,
    to: number,
    specs: readonly ParquetColumnSpec[],
    sink: RowGroupSink,
  ): Promise<void> {
    const { startMs, stepMs } = this.#options;
    const times = BigInt64Array.from({ length: to - from }, (_, step) =>
      BigInt((startMs + (from + step) * stepMs) * 1000),
    );
    for (const host of this.#order) {
      for (let step = 0; step < times.length; ) {
        const count = Math.min(times.length - step, rowGroupRows - this.#rows);
        this.#append(host, times.subarray(step, step + count));
        step += count;
        if (this.#rows === rowGroupRows) await this.#flush(specs, sink, step === times.length);
      }
    }
    await this.#flush(specs, sink, true);
  }

  #append(host: number, times: BigInt64Array): void {
    const at = this.#rows;
    const fieldCount = cpuFields.length;
    this.#micros.set(times, at);
    for (const tag of this.#tags.values())
      tag.codes.fill(tag.codeOfHost[host] as number, at, at + times.length);
    const walked = this.#walk.values;
    const isWhole = this.#options.kind === 'int';
    for (let row = at; row < at + times.length; row++) {
      this.#walk.step(host);
      for (let field = 0; field < fieldCount; field++) {
        const value = walked[host * fieldCount + field] as number;
        if (isWhole) (this.#lanes[field] as Int32Array)[row * 2] = value;
        else (this.#lanes[field] as Float64Array)[row] = value / 100;
      }
    }
    this.#rows += times.length;
  }

  async #flush(specs: readonly ParquetColumnSpec[], sink: RowGroupSink, mayEndFile: boolean): Promise<void> {
    const rows = this.#rows;
    if (rows === 0) return;
    this.#rows = 0;
    await sink.rowGroup(
      rows,
      specs.map((spec) => this.#columnOf(spec, rows)),
      mayEndFile,
    );
  }

  #columnOf({ kind, name }: ParquetColumnSpec, rows: number): ParquetColumnData {
    if (kind === 'time') return { kind, micros: this.#micros.subarray(0, rows) };
    const tag = this.#tags.get(name);
    if (tag !== undefined) {
      return { kind: 'tag', tags: { codes: tag.codes.subarray(0, rows), dictionary: tag.dictionary } };
    }
    const values = this.#values[(cpuFields as readonly string[]).indexOf(name)];
    if (values === undefined) throw new Error(`cpu-only has no column ${name}`);
    return values instanceof Float64Array
      ? { kind: 'field', type: 'double', values: values.subarray(0, rows), validity: null }
      : { kind: 'field', type: 'bigint', values: values.subarray(0, rows), validity: null };
  }
}

function compareHosts(left: readonly string[], right: readonly string[]): number {
  const byName = cpuTags.map((tag, index) => ({ tag, index })).sort((a, b) => compareUtf8(a.tag, b.tag));
  for (const { index } of byName) {
    const order = compareUtf8(left[index] ?? '', right[index] ?? '');
    if (order !== 0) return order;
  }
  return 0;
}

function encodeTag(values: readonly string[]): TagCodes & { readonly codeOfHost: Int32Array } {
  const distinct = [...new Set(values)];
  const codeOf = new Map(distinct.map((value, code) => [value, code]));
  return {
    codes: new Int32Array(rowGroupRows),
    codeOfHost: Int32Array.from(values, (value) => codeOf.get(value) ?? -1),
    dictionary: packStrings(distinct.map((value) => Buffer.from(value))),
  };
}
