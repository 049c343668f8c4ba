import type { Database } from '../core/catalog/types.js';
import type { HotReader } from '../core/ports/hot-reader.js';
import { VarveError } from '../core/std/errors.js';
import type { HotScanBytes } from './engine/query-engine.js';
import type { MentionedColumns } from './plan/mentioned-columns.js';
import type { TablePlan } from './plan/plan-table.js';
import { type HotSource, tagPredicates } from './plan/sources.js';

/** What the hot scans of one query may take together. */
export class HotBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#bytesMax) {
      throw new VarveError(
        'exhausted',
        `query: reading the hot tier takes more than ${this.#bytesMax} bytes; want a narrower time range, fewer columns or fewer series`,
      );
    }
  }
}

export interface HotScanRequestOf {
  readonly database: Database;
  readonly plan: TablePlan;
  readonly source: HotSource;
  readonly mentioned: MentionedColumns;
  /** Names the scan within the engine. */
  readonly id: string;
}

/** Reads the chunks of a hot source, only what the query can need. `not-found` when the group was dropped meanwhile. */
export async function readHotSource(
  hot: HotReader,
  request: HotScanRequestOf,
  budget: HotBudget,
  signal: AbortSignal,
): Promise<HotScanBytes> {
  const { database, plan, source, id } = request;
  const columns = wantedColumns(request);
  const streams = await Promise.all(
    source.shards.map(async ({ shard, owners }) => {
      const scan = hot.scan(
        {
          database: database.id,
          group: source.group,
          shard,
          table: plan.schema.table,
          columns: columns.map((column) => column.name),
          // Not the query's bounds: what came after planning may lie where the plan lets the merge rule out.
          minTimeNs: source.minTimeNs,
          maxTimeNs: source.maxTimeNs,
          tags: tagPredicates(plan.schema, plan.bounds).map(({ tag, values }) => ({ tag, values })),
          narrow: true,
          owners,
        },
        signal,
      );
      const pieces: Uint8Array[] = [];
      for await (const piece of scan) {
        budget.take(piece.length);
        pieces.push(owned(piece));
      }
      return pieces;
    }),
  );
  return { id, columns, streams };
}

/** The piece with a buffer of its own, which can be moved to the engine's thread: a view would take along the rest. */
function owned(piece: Uint8Array): Uint8Array {
  const isWhole = piece.buffer instanceof ArrayBuffer && piece.byteLength === piece.buffer.byteLength;
  return isWhole ? piece : new Uint8Array(piece);
}

/** Tags come whole where the merge rule needs them to tell points apart. */
function wantedColumns({ plan, source, mentioned }: HotScanRequestOf): HotScanBytes['columns'] {
  const isMerged = plan.parts.some((part) => part.kind === 'merge' && part.sources.includes(source));
  return plan.schema.columns
    .filter((column) => {
      if (mentioned === 'all' || (isMerged && column.kind === 'tag')) return true;
      return mentioned.has(column.name.toLowerCase());
    })
    .map(({ name, kind, type }) => ({ name, type: kind === 'tag' ? 'tag' : type }));
}
