import type { DataFile } from '../../core/iceberg/types.js';
import { type Column, type TableSchema, timeFieldId, timeNsFieldId } from '../../core/model/schema.js';
import { floorTo } from '../../core/model/window.js';
import type { SettledScan, ViewSql } from '../engine/query-engine.js';
import { sqlIdentifier, sqlText } from './identifiers.js';
import { hasLastFields } from './last-points.js';
import type { PlanPart, TablePlan } from './plan-table.js';
import { type HotSource, type Source, tagPredicates } from './sources.js';

/** Where the engine finds what a plan names. */
export interface SourceLocations {
  /** Path of a data file on this machine. */
  readonly pathOf: (file: DataFile) => string;
  /** The scan held for a hot source: its id and the columns it carries. */
  readonly scanOf: (source: HotSource) => { readonly id: string; readonly columns: ReadonlySet<string> };
  /** An id that no scan of the query has yet. */
  readonly nextScanId: () => string;
}

/**
 * The SQL that makes a table's view: columns `time`, tags, fields, in the order of the schema; one point a row.
 * `time` is TIMESTAMP, or TIMESTAMP_NS in a table that has times below the microsecond.
 */
export function viewSql(name: string, plan: TablePlan, locations: SourceLocations): ViewSql {
  const selects = plan.parts.flatMap((part) => partSql(part, plan, locations));
  const body = selects.length === 0 ? [emptySql(plan.schema)] : joined(selects);
  return [`CREATE TEMP VIEW ${sqlIdentifier(name)} AS\n`, ...body];
}

function joined(selects: readonly ViewSql[]): ViewSql {
  return selects.flatMap((select, index) => (index === 0 ? select : ['\nUNION ALL\n', ...select]));
}

/** SQL type of a column in our own dialect. */
export function columnSqlType(column: Column): string {
  switch (column.type) {
    case 'string':
      return 'VARCHAR';
    case 'double':
      return 'DOUBLE';
    case 'bigint':
      return 'BIGINT';
    case 'ubigint':
      return 'UBIGINT';
    case 'boolean':
      return 'BOOLEAN';
  }
}

/** SQL type of `time`. */
export function timeSqlType(schema: TableSchema): string {
  return schema.hasTimeNs ? 'TIMESTAMP_NS' : 'TIMESTAMP';
}

/** Columns in the order in which SQL shows them: tags, then fields. */
export function shownColumns(schema: TableSchema): readonly Column[] {
  return [
    ...schema.columns.filter((column) => column.kind === 'tag'),
    ...schema.columns.filter((column) => column.kind === 'field'),
  ];
}

function partSql(part: PlanPart, plan: TablePlan, locations: SourceLocations): readonly ViewSql[] {
  switch (part.kind) {
    case 'settled':
      return filesSql(part.files, plan, locations, '');
    case 'hot':
      return [[hotSql(part.source, plan, locations, '')]];
    case 'merge':
      return [mergeSql(part.sources, plan, locations)];
  }
}

/** One scan for all files that have the same columns. */
function filesSql(
  files: readonly DataFile[],
  plan: TablePlan,
  locations: SourceLocations,
  extra: string,
): readonly ViewSql[] {
  const byColumns = new Map<string, DataFile[]>();
  for (const file of files) {
    const isLast = plan.last !== null && hasLastFields(file, plan.last, plan.schema);
    const key = `${isLast}:${file.columns.map((column) => column.fieldId).join()}`;
    const alike = byColumns.get(key);
    if (alike === undefined) byColumns.set(key, [file]);
    else alike.push(file);
  }
  return [...byColumns].map(([key, alike]) => [
    settledSql(alike, key.startsWith('true') ? 'last' : 'all', plan, locations, extra),
  ]);
}

/** Where a few series are wanted or the last row of each, the engine may pick the rows out instead of scanning. */
function settledSql(
  files: readonly DataFile[],
  rows: SettledScan['rows'],
  plan: TablePlan,
  locations: SourceLocations,
  extra: string,
): ViewSql[number] {
  const wide = wideSql(files, plan, locations, extra);
  const tags = tagPredicates(plan.schema, plan.bounds);
  if (tags.length === 0 && rows === 'all') return { wide };
  const { minTimeNs, maxTimeNs } = plan.bounds;
  const scan: SettledScan = {
    id: locations.nextScanId(),
    paths: files.map((file) => locations.pathOf(file)),
    columns: scanColumns(plan.schema, presentIn(files)),
    rows,
    tags: tags.map(({ fieldId, values }) => ({ fieldId, values })),
    minMicros: minTimeNs === null ? null : Number(microsOf(minTimeNs)),
    maxMicros: maxTimeNs === null ? null : Number(microsOf(maxTimeNs)),
  };
  return { scan, narrow: narrowSql(scan, plan.schema, presentIn(files), extra), wide };
}

function presentIn(files: readonly DataFile[]): ReadonlySet<number> {
  return new Set(files[0]?.columns.map((column) => column.fieldId));
}

function scanColumns(schema: TableSchema, present: ReadonlySet<number>): SettledScan['columns'] {
  const columns: SettledScan['columns'][number][] = [{ name: 'time', type: 'time-us', fieldId: timeFieldId }];
  if (present.has(timeNsFieldId)) columns.push({ name: 'time_ns', type: 'nanos', fieldId: timeNsFieldId });
  for (const { name, fieldId, kind, type } of shownColumns(schema)) {
    if (present.has(fieldId)) columns.push({ name, type: kind === 'tag' ? 'tag' : type, fieldId });
  }
  return columns;
}

function narrowSql(
  scan: SettledScan,
  schema: TableSchema,
  present: ReadonlySet<number>,
  extra: string,
): string {
  const columns = shownColumns(schema).map((column) => {
    const name = sqlIdentifier(column.name);
    return present.has(column.fieldId) ? name : `NULL::${columnSqlType(column)} AS ${name}`;
  });
  const time = schema.hasTimeNs ? timeSql(schema, present) : '"time"';
  return `SELECT ${[time, ...columns].join(', ')}${extra} FROM varve_settled(${sqlText(scan.id)})`;
}

function wideSql(
  files: readonly DataFile[],
  plan: TablePlan,
  locations: SourceLocations,
  extra: string,
): string {
  const present = presentIn(files);
  const columns = shownColumns(plan.schema).map((column) => {
    const name = sqlIdentifier(column.name);
    if (!present.has(column.fieldId)) return `NULL::${columnSqlType(column)} AS ${name}`;
    // Iceberg has no unsigned 64-bit type: the file holds a decimal(20,0).
    return column.type === 'ubigint' ? `${name}::UBIGINT AS ${name}` : name;
  });
  const paths = files.map((file) => sqlText(escapeGlob(locations.pathOf(file)))).join(', ');
  const select = [timeSql(plan.schema, present), ...columns].join(', ');
  const scan = `read_parquet([${paths}], hive_partitioning = false, union_by_name = false)`;
  return `SELECT ${select}${extra} FROM ${scan}${timeFilterSql(files, plan)}`;
}

/** Of plain functions, not a cast: a cast from TIMESTAMPTZ goes by the time zone's rules and costs ten times as much. */
function timeSql(schema: TableSchema, present: ReadonlySet<number>): string {
  if (!schema.hasTimeNs) return 'make_timestamp(epoch_us("time")) AS "time"';
  const micros = 'epoch_us("time")';
  if (!present.has(timeNsFieldId)) return `make_timestamp_ns(${micros} * 1000) AS "time"`;
  // A thousand times the first microsecond there is lies below what 64 bits hold; in two steps it never does.
  return `make_timestamp_ns(${micros} * 999 + (${micros} + "time_ns")) AS "time"`;
}

/**
 * The bounds on the files' own column, so that the engine passes over row groups; one that all rows of the files keep
 * anyway would only cost a look at each of them.
 */
function timeFilterSql(files: readonly DataFile[], { bounds: { minTimeNs, maxTimeNs } }: TablePlan): string {
  const conditions: string[] = [];
  if (minTimeNs !== null && files.some((file) => file.minTimeNs < minTimeNs)) {
    conditions.push(`"time" >= make_timestamptz(${microsOf(minTimeNs)})`);
  }
  if (maxTimeNs !== null && files.some((file) => file.maxTimeNs > maxTimeNs)) {
    conditions.push(`"time" <= make_timestamptz(${microsOf(maxTimeNs)})`);
  }
  return conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
}

function microsOf(timeNs: bigint): bigint {
  return floorTo(timeNs, 1000n) / 1000n;
}

function hotSql(source: HotSource, plan: TablePlan, locations: SourceLocations, extra: string): string {
  const scan = locations.scanOf(source);
  const time = plan.schema.hasTimeNs ? '"time"' : '"time"::TIMESTAMP AS "time"';
  const columns = shownColumns(plan.schema).map((column) => {
    const name = sqlIdentifier(column.name);
    return scan.columns.has(column.name) ? name : `NULL::${columnSqlType(column)} AS ${name}`;
  });
  return `SELECT ${[time, ...columns].join(', ')}${extra} FROM varve_hot(${sqlText(scan.id)})`;
}

/** A layer with so many times the rows of all others together is not grouped as a whole. */
const dominanceMin = 4;

/** Sources that share no point with one another: one of them in flux, or settled files of one sequence. */
interface Layer {
  readonly sources: readonly Source[];
  readonly rows: number;
}

/** The sources of a merge in layers, in ascending precedence as they are given. */
function layersOf(sources: readonly Source[]): readonly Layer[] {
  const bySequence = new Map<unknown, Source[]>();
  for (const source of sources) {
    const key = source.kind === 'settled' ? source.file.sequence : source;
    const alike = bySequence.get(key);
    if (alike === undefined) bySequence.set(key, [source]);
    else alike.push(source);
  }
  return [...bySequence.values()].map((alike) => ({
    sources: alike,
    rows: alike.reduce((sum, source) => sum + rowsOf(source), 0),
  }));
}

/** The merge rule: for one point the union of fields, for each the value of the layer of highest precedence. */
function mergeSql(sources: readonly Source[], plan: TablePlan, locations: SourceLocations): ViewSql {
  const layers = layersOf(sources).map((layer, rank) => ({
    layer,
    plain: layerSql(layer, plan, locations, ''),
    ranked: layerSql(layer, plan, locations, `, ${rank} AS "varve rank"`),
  }));
  const rows = layers.reduce((sum, { layer }) => sum + layer.rows, 0);
  const large = layers.find(({ layer }) => layer.rows >= dominanceMin * (rows - layer.rows));
  if (large === undefined)
    return groupedSql(
      layers.map(({ ranked }) => ranked),
      plan,
    );
  const others = layers.filter((layer) => layer !== large);
  const overlay = joined(others.map(({ plain }) => plain));
  // Most of its points nobody else has: they pass as they are, only the others are grouped.
  const alone = matchedSql('ANTI', large.plain, overlay, plan);
  const shared = matchedSql('SEMI', large.ranked, overlay, plan);
  const merged = groupedSql([shared, ...others.map(({ ranked }) => ranked)], plan);
  return joined([alone, merged]);
}

function layerSql({ sources }: Layer, plan: TablePlan, locations: SourceLocations, extra: string): ViewSql {
  const files = sources.flatMap((source) => (source.kind === 'settled' ? [source.file] : []));
  const hot = sources.flatMap((source) => (source.kind === 'hot' ? [source] : []));
  return joined([
    ...filesSql(files, plan, locations, extra),
    ...hot.map((source): ViewSql => [hotSql(source, plan, locations, extra)]),
  ]);
}

function rowsOf(source: Source): number {
  return source.kind === 'hot' ? source.rows : source.file.rows;
}

/** The rows of a source whose points the overlay has too (SEMI) or has not (ANTI). */
function matchedSql(kind: 'SEMI' | 'ANTI', rows: ViewSql, overlay: ViewSql, plan: TablePlan): ViewSql {
  const same = keyColumns(plan.schema).map((key) => `large.${key} IS NOT DISTINCT FROM small.${key}`);
  return [
    'SELECT large.* FROM (\n',
    ...rows,
    `\n) AS large ${kind} JOIN (\n`,
    ...overlay,
    `\n) AS small ON ${same.join(' AND ')}`,
  ];
}

function groupedSql(ranked: readonly ViewSql[], plan: TablePlan): ViewSql {
  const shown = shownColumns(plan.schema).map((column) => {
    const name = sqlIdentifier(column.name);
    // arg_max passes over nulls: a field that the newest source lacks comes from an older one.
    return column.kind === 'tag' ? name : `arg_max(${name}, "varve rank") AS ${name}`;
  });
  const head = `SELECT ${['"time"', ...shown].join(', ')} FROM (\n`;
  return [head, ...joined(ranked), `\n) GROUP BY ${keyColumns(plan.schema).join(', ')}`];
}

/** What tells points apart, as identifiers. */
function keyColumns(schema: TableSchema): readonly string[] {
  const tags = shownColumns(schema).filter((column) => column.kind === 'tag');
  return ['time', ...tags.map((column) => column.name)].map(sqlIdentifier);
}

function emptySql(schema: TableSchema): string {
  const columns = shownColumns(schema).map(
    (column) => `NULL::${columnSqlType(column)} AS ${sqlIdentifier(column.name)}`,
  );
  return `SELECT ${[`NULL::${timeSqlType(schema)} AS "time"`, ...columns].join(', ')} WHERE false`;
}

/** A path is taken as a pattern by the engine. */
function escapeGlob(path: string): string {
  return path.replaceAll(/[*?[]/g, '[$&]');
}
