import type { Database, ShardGroup, TableRecord } from '../../core/catalog/types.js';
import type { DataFile } from '../../core/iceberg/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { HotReader, HotScanRequest } from '../../core/ports/hot-reader.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import { failpoint } from '../../core/std/failpoint.js';
import { arrowBlocks } from '../rows/arrow-blocks.js';
import { putDataFile } from '../rows/data-file-store.js';
import { type DataFileLimits, DataFileWriter } from '../rows/data-file-writer.js';
import type { CommitFiles } from '../rows/files-in-flight.js';
import { mergeSources } from '../rows/merge-sources.js';
import { type RowLayout, rowLayoutOf } from '../rows/row-layout.js';
import type { CursorSource } from '../rows/series-cursor.js';

import { type FilePlan, type FilePlanSettings, planFiles } from './file-plan.js';
import type { ChunkToSeal } from './judge-content.js';

export interface SealTableRequest {
  readonly database: Database;
  readonly group: ShardGroup;
  readonly record: TableRecord;
  /** The table's chunks in the group. */
  readonly chunks: readonly ChunkToSeal[];
}

export interface SealTableTools {
  readonly readerOf: (node: NodeId) => HotReader;
  readonly objects: ObjectStore;
  readonly filePlan: FilePlanSettings;
  readonly limits: DataFileLimits;
}

/**
 * Writes the chunks of one table in one closed group as data files, each point once, and puts them. Nothing names
 * them before the commit. Doing it again makes the same bytes under the same keys.
 */
export async function writeTableFiles(
  request: SealTableRequest,
  tools: SealTableTools,
  inFlight: CommitFiles,
  signal?: AbortSignal,
): Promise<readonly DataFile[]> {
  const { record, chunks, group } = request;
  const layout = rowLayoutOf(record.schema);
  if (!layout.hasTimeNs && chunks.some((chunk) => chunk.hasTimeNs)) {
    throw new VarveError(
      'internal',
      `sealing table "${record.table}": got times below the microsecond; want a schema with time_ns`,
    );
  }
  const files: DataFile[] = [];
  const failed = new Set<NodeId>();
  for (const plan of planFiles(group.kind, chunks, tools.filePlan)) {
    files.push(...(await writeWithFallback(plan, layout, request, tools, { failed, inFlight, signal })));
  }
  return files;
}

interface WriteScope {
  /** Owners that failed in the middle of a scan: others are read first from then on. */
  readonly failed: Set<NodeId>;
  readonly inFlight: CommitFiles;
  readonly signal: AbortSignal | undefined;
}

/** An owner that fails in the middle gives way to another that holds the same; the files are then begun anew. */
async function writeWithFallback(
  plan: FilePlan,
  layout: RowLayout,
  request: SealTableRequest,
  tools: SealTableTools,
  scope: WriteScope,
): Promise<readonly DataFile[]> {
  for (;;) {
    const before = scope.failed.size;
    try {
      return await writeFilesOf(plan, layout, request, tools, scope);
    } catch (error) {
      scope.signal?.throwIfAborted();
      const { failed } = scope;
      const isNews = failed.size > before;
      const canGoOn = request.chunks.every(({ owners }) => owners.some((owner) => !failed.has(owner)));
      if (!isNews || !canGoOn) throw error;
    }
  }
}

async function writeFilesOf(
  plan: FilePlan,
  layout: RowLayout,
  request: SealTableRequest,
  tools: SealTableTools,
  scope: WriteScope,
): Promise<readonly DataFile[]> {
  const { database, record, group } = request;
  const { inFlight, signal } = scope;
  const chunks = request.chunks.filter((chunk) => plan.shards.includes(chunk.shard));
  const writer = new DataFileWriter({
    layout,
    day: plan.day,
    rowsExpected: chunks.reduce((rows, chunk) => rows + chunk.rows, 0),
    limits: tools.limits,
    // Two groups may hold equal rows; their files must not be one object, for each is counted as a file of its own.
    keyValueMetadata: { 'varve.group': group.id },
    store: async (file, day) => {
      failpoint('seal.before-parquet-put');
      const place = { database, record, layout };
      const stored = await putDataFile(file, day, place, tools.objects, inFlight, signal);
      failpoint('seal.after-parquet-put');
      return stored;
    },
  });
  const sources = chunks.map((chunk) => scanOf(chunk, plan, layout, request, tools, scope));
  await mergeSources(sources, writer, signal);
  return writer.finish();
}

function scanOf(
  chunk: ChunkToSeal,
  plan: FilePlan,
  layout: RowLayout,
  { database, group, record }: SealTableRequest,
  tools: SealTableTools,
  { failed, signal }: WriteScope,
): CursorSource {
  const owner = chunk.owners.find((each) => !failed.has(each)) ?? (chunk.owners[0] as NodeId);
  const scan: HotScanRequest = {
    database: database.id,
    group: group.id,
    shard: chunk.shard,
    table: record.table,
    columns: [...layout.tags, ...layout.fields].map(({ name }) => name),
    minTimeNs: plan.minTimeNs,
    maxTimeNs: plan.maxTimeNs,
    tags: [],
    narrow: true,
  };
  return {
    name: `hot scan of table "${record.table}", group ${group.id}, shard ${chunk.shard}, on ${owner}`,
    blocks: arrowBlocks(notingFailure(tools.readerOf(owner).scan(scan, signal), owner, failed), layout),
    // Shards hold different series, so no point comes from two of them.
    precedence: chunk.shard,
    days: plan.days,
  };
}

/** Passes a scan on; an owner that does not answer any more, or has let the group go, is noted. */
async function* notingFailure(
  scan: AsyncIterable<Uint8Array>,
  owner: NodeId,
  failed: Set<NodeId>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* scan;
  } catch (error) {
    if (isVarveError(error, 'unavailable') || isVarveError(error, 'not-found')) failed.add(owner);
    throw error;
  }
}
