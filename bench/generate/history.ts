import { setImmediate as giveWay } from 'node:timers/promises';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import { openSettledTables } from '../../cli/serve/settled-tables.js';
import { openMetaStore, openObjectStore, resolveStoreFlags } from '../../cli/serve/stores.js';
import { putDataFile } from '../../compactor/rows/data-file-store.js';
import { FilesInFlight } from '../../compactor/rows/files-in-flight.js';
import { type RowLayout, rowLayoutOf } from '../../compactor/rows/row-layout.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import { groupIdOf } from '../../core/catalog/group-list.js';
import type { Database, TableRecord } from '../../core/catalog/types.js';
import type { DataFile } from '../../core/iceberg/types.js';
import { ParquetWriter } from '../../core/parquet/parquet-writer.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { silentLogger } from '../../core/std/logger.js';
import type { CpuOnlyOptions } from './cpu-only.js';
import { cpuSchema, SortedCpuRows } from './sorted-rows.js';

/** What a generated history holds. */
export interface HistoryFigures {
  readonly rows: number;
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
}

const dayMs = 86_400_000;
/** As the compactor writes them. */
const fileRowsMax = 4_000_000;
/** Numbers of groups that the database itself will never reach. */
const firstGroupNumber = 900_000_000_000;

/**
 * Fills an empty data directory with settled history of cpu-only tables: files and commits as sealing and merging
 * would have left them, one commit a day, without a line having been sent.
 */
export async function writeHistory(
  dataDir: string,
  database: string,
  tables: readonly CpuOnlyOptions[],
): Promise<HistoryFigures> {
  const startMs = performance.now();
  const clock = new SystemClock();
  const random = new SystemRandom();
  const flags = resolveStoreFlags({ dataDir, objectStore: '', metaStore: '' });
  const meta = await openMetaStore(flags);
  const objects = await openObjectStore(flags);
  const catalogs = openCatalogs({ store: meta, clock, random });
  const settled = openSettledTables({ objects, catalogs, clock, random, logger: silentLogger });
  const home = await catalogs.databases.ensure(database, defaultDatabaseSettings);
  const figures = { rows: 0, files: 0, bytes: 0 };
  let group = firstGroupNumber;
  for (const options of tables) {
    const record = await makeTable(options);
    const rows = new SortedCpuRows(options);
    for (const { day, from, to } of daysOf(options)) {
      const added = await writeDay(rows, { day, from, to }, { database: home, record, objects });
      const outcome = await settled.commit({
        database: home,
        table: record.table,
        fencingEpoch: 0,
        change: { kind: 'seal', groups: [groupIdOf('late', group++)], added },
      });
      if (outcome.kind !== 'committed')
        throw new Error(`committing history: got ${outcome.kind}; want committed`);
      figures.files += added.length;
      figures.rows += added.reduce((sum, file) => sum + file.rows, 0);
      figures.bytes += added.reduce((sum, file) => sum + file.bytes, 0);
    }
  }
  await meta.close();
  return { ...figures, seconds: (performance.now() - startMs) / 1000 };

  async function makeTable(options: CpuOnlyOptions): Promise<TableRecord> {
    const { table, columns } = cpuSchema(options);
    const tags = columns.filter(({ kind }) => kind === 'tag').map(({ name }) => name);
    const fields = columns.flatMap((column) => (column.kind === 'field' ? [column] : []));
    const limits = { columnsMax: 1000, tablesMax: 10_000 };
    const [result] = await catalogs.tables.extend(home, [{ table, tags, fields, hasTimeNs: false }], limits);
    if (result?.kind !== 'extended')
      throw new Error(`making table ${table}: got ${result?.kind}; want extended`);
    const record = await catalogs.tables.get(home, table);
    if (record === undefined) throw new Error(`table ${table} was made and is not there`);
    return record.value;
  }
}

interface DayPlace {
  readonly database: Database;
  readonly record: TableRecord;
  readonly objects: ObjectStore;
}

async function writeDay(
  rows: SortedCpuRows,
  { day, from, to }: StepsOfDay,
  place: DayPlace,
): Promise<readonly DataFile[]> {
  const layout: RowLayout = rowLayoutOf(place.record.schema);
  const held = new FilesInFlight().open();
  const files: DataFile[] = [];
  let writer = new ParquetWriter(layout.specs);
  let fileRows = 0;
  const endFile = async (): Promise<void> => {
    if (fileRows === 0) return;
    files.push(await putDataFile(writer.finish(), day, { ...place, layout }, place.objects, held));
    writer = new ParquetWriter(layout.specs);
    fileRows = 0;
  };
  await rows.write(from, to, layout.specs, {
    rowGroup: async (count, columns, mayEndFile) => {
      writer.writeRowGroup(count, columns);
      fileRows += count;
      if (mayEndFile && fileRows >= fileRowsMax) await endFile();
      await giveWay();
    },
  });
  await endFile();
  return files;
}

interface StepsOfDay {
  readonly day: number;
  readonly from: number;
  readonly to: number;
}

function daysOf({ startMs, stepMs, steps }: CpuOnlyOptions): readonly StepsOfDay[] {
  const days: StepsOfDay[] = [];
  for (let from = 0; from < steps; ) {
    const day = Math.floor((startMs + from * stepMs) / dayMs);
    const to = Math.min(steps, Math.ceil(((day + 1) * dayMs - startMs) / stepMs));
    days.push({ day, from, to });
    from = to;
  }
  return days;
}
