import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { rowLayoutOf } from '../../compactor/rows/row-layout.js';
import { ParquetWriter } from '../../core/parquet/parquet-writer.js';
import type { CpuOnlyOptions } from '../generate/cpu-only.js';
import { cpuSchema, SortedCpuRows } from '../generate/sorted-rows.js';
import type { Answer } from '../questions/answer.js';
import type { Question } from '../questions/question.js';
import { answerOfRows, sqlOf } from '../questions/sql.js';
import { makeDirectory } from './child-server.js';
import type { Answerer } from './system.js';

/**
 * DuckDB in this process over one sorted Parquet file that it wrote itself: the limit for scans. No server, no hot
 * tier; the answer is drained as chunks, not made into text.
 */
export async function openSortedParquet(options: CpuOnlyOptions): Promise<Answerer> {
  const directory = makeDirectory('sorted-parquet');
  const path = join(directory, 'sorted.parquet');
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'; SET parquet_metadata_cache = true");
  await writeFile(connection, options, directory, path);
  return {
    name: 'sorted-parquet',
    canAsk: () => true,
    cpuSeconds: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    ask: (question) => ask(connection, question, path),
    stop: async () => {
      connection.closeSync();
      instance.closeSync();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The version of the engine. */
export async function duckdbVersion(): Promise<string> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll('SELECT version()');
  connection.closeSync();
  instance.closeSync();
  return `DuckDB ${String(reader.getRows()[0]?.[0])}`;
}

async function writeFile(
  connection: DuckDBConnection,
  options: CpuOnlyOptions,
  directory: string,
  path: string,
): Promise<void> {
  const { specs } = rowLayoutOf(cpuSchema(options));
  const writer = new ParquetWriter(specs);
  await new SortedCpuRows(options).write(0, options.steps, specs, {
    rowGroup: async (rows, columns) => writer.writeRowGroup(rows, columns),
  });
  const ours = join(directory, 'rows.parquet');
  writeFileSync(ours, writer.finish().bytes);
  // The sort order that questions by host like best: hostname first.
  await connection.run(
    `COPY (SELECT * REPLACE (time::TIMESTAMP AS time) FROM '${ours}' ORDER BY hostname, time)
     TO '${path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)`,
  );
  rmSync(ours);
}

async function ask(
  connection: DuckDBConnection,
  question: Question,
  path: string,
): Promise<{ bytes: number; read: () => Answer }> {
  const reader = await connection.runAndReadAll(sqlOf(question, `'${path}'`));
  return {
    bytes: 0,
    // DuckDB writes its timestamps without a zone; they are UTC.
    read: () =>
      answerOfRows(
        question,
        reader.getRowObjectsJson().map((row) => ({ ...row, bucket: `${String(row['bucket'])}Z` })),
      ),
  };
}
