import { type ArrowColumnSpec, ArrowStreamEncoder } from '../../core/codec/arrow-encoder.js';
import { ArrowRoom } from '../../core/codec/arrow-room.js';
import type { IntegerWidth } from '../../core/codec/narrow-integers.js';
import type { GroupId } from '../../core/model/batch.js';
import { stringCount } from '../../core/model/columns.js';
import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotGroupRequest,
  HotReader,
  HotScanRequest,
} from '../../core/ports/hot-reader.js';
import type { ShardHoldings } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import type { Chunk } from './chunk.js';
import type { HotColumn } from './hot-column.js';
import type { HotGroup } from './hot-group.js';
import type { HotTier } from './hot-tier.js';
import { type GatheredColumn, gatherField, gatherTag, gatherTimes } from './scan-gather.js';
import { collectOrdered } from './scan-ordered.js';
import { type PointBatch, PointBatcher } from './scan-points.js';
import { filterSeries, type TagDictionary, tagDictionary } from './scan-series.js';

/** Points a record batch, fewer where it has so many columns that they would pass so many bytes. */
const pointsMax = 65_536;
const bodyBytesMax = 32 * 2 ** 20;
/**
 * A narrow scan takes more points at once, up to so many and so many bytes: the series of a batch lie scattered over
 * the chunk's blocks, and the more of them are read in one pass, the more of each line of the processor's caches is used.
 */
const narrowPointsMax = 262_144;
const narrowBytesMax = 8 * 2 ** 20;
/** Values gathered before other work may go first: a few milliseconds. */
const gatheredAtOnce = 2 ** 19;
/** Text a record batch, roughly: Arrow's offsets are 32-bit. */
const textBytesMax = 16 * 2 ** 20;

/** What a reader of the hot tier is made of. */
export interface HotTierReaderOptions {
  readonly tier: HotTier;
  /** Lets other work of the event loop go first; awaited between record batches. */
  readonly giveWay: () => Promise<void>;
  /**
   * Asks the catalog whether a group that the tier does not know has been sealed and dropped: what was dropped before the
   * process started is remembered nowhere else. Without it such a group counts as one that nothing has come for yet.
   */
  readonly wasDropped?: (database: string, group: GroupId) => Promise<boolean>;
}

/** A column of a scan that the chunk has. */
type ScanColumn =
  | {
      readonly kind: 'tag';
      readonly name: string;
      readonly dictionary: TagDictionary;
      readonly width: IntegerWidth;
    }
  | {
      readonly kind: 'field';
      readonly name: string;
      readonly column: HotColumn;
      readonly width: IntegerWidth;
    };

/** Reads the hot tier of this process. The bytes of a scan belong to whoever takes them. */
export class HotTierReader implements HotReader {
  readonly #tier: HotTier;
  readonly #giveWay: () => Promise<void>;
  readonly #wasDropped: HotTierReaderOptions['wasDropped'];

  constructor(options: HotTierReaderOptions) {
    this.#tier = options.tier;
    this.#giveWay = options.giveWay;
    this.#wasDropped = options.wasDropped;
  }

  async describe(request: HotDescribeRequest): Promise<readonly HotChunkInfo[]> {
    const group = await this.#find(request);
    if (group === undefined) return [];
    return group.chunks(request.table).map((chunk) => ({
      shard: chunk.shard,
      rows: chunk.rowCount,
      minTimeNs: chunk.minTimeNs,
      maxTimeNs: chunk.maxTimeNs,
    }));
  }

  async holdings(request: HotGroupRequest): Promise<readonly ShardHoldings[]> {
    return (await this.#find(request))?.holdings() ?? [];
  }

  /** The group; undefined when nothing has come for it yet. */
  async #find(request: HotGroupRequest): Promise<HotGroup | undefined> {
    const { database, group } = request;
    const found = this.#tier.find(database, group);
    if (typeof found !== 'string') return found;
    if (found === 'dropped' || (await this.#wasDropped?.(database, group)) === true) throw dropped(request);
    // It may have come to be meanwhile.
    const again = this.#tier.find(database, group);
    return typeof again === 'string' ? undefined : again;
  }

  async *scan(request: HotScanRequest, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    const group = this.#tier.find(request.database, request.group);
    if (typeof group === 'string') throw dropped(request);
    const chunk = group.chunk(request.shard, request.table);
    if (chunk === undefined) yield new ArrowStreamEncoder([]).end();
    else yield* this.#scanChunk(group, chunk, request, signal);
  }

  async *#scanChunk(
    group: HotGroup,
    chunk: Chunk,
    request: HotScanRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const giveWay = async (): Promise<void> => {
      await this.#giveWay();
      signal?.throwIfAborted();
    };
    // Up to the first wait the chunk stands still, so the scan sees whole batches only. What is appended later does
    // not touch the rows below rowCount.
    const rowCount = chunk.rowCount;
    // Bounds that leave nothing out cost nothing.
    const minTimeNs =
      request.minTimeNs === null || request.minTimeNs <= chunk.minTimeNs ? null : request.minTimeNs;
    const maxTimeNs =
      request.maxTimeNs === null || request.maxTimeNs >= chunk.maxTimeNs ? null : request.maxTimeNs;
    const selected = filterSeries(chunk.series, request.tags);
    const found = await collectOrdered(
      { chunk, rowCount, series: selected, minTimeNs, maxTimeNs, giveWay },
      {
        orders: this.#tier.orders,
        group,
        isHeld: () => this.#tier.find(request.database, request.group) === group,
      },
    );
    const columns: ScanColumn[] = [];
    for (const name of request.columns) {
      const column = await scanColumn(chunk, name, found.series, request.narrow === true, giveWay);
      if (column !== undefined) columns.push(column);
    }
    const encoder = new ArrowStreamEncoder(columns.map(specOf));
    const batcher = new PointBatcher({
      chunk,
      found,
      textColumns: columns.flatMap((each) =>
        each.kind === 'field' && each.column.type === 'string' ? [each.column] : [],
      ),
      pointsMax: pointsAtOnce(columns, request.narrow === true),
      textBytesMax,
    });
    let points = 0;
    let conflicts = 0;
    for (let batch = batcher.next(); batch !== null; batch = batcher.next()) {
      const gathered = [];
      for (const each of columns) {
        if (each.kind === 'tag') gathered.push(gatherTag(each.dictionary, batch, each.width));
        else {
          const field = gatherField(each.column, rowCount, found, batch, each.width);
          conflicts += field.conflicts;
          gathered.push(field);
        }
      }
      points += batch.rows.length;
      yield* encoder.batch(await fillRoom(chunk, batch, gathered, giveWay));
      // A short answer waits for no turn of a loop that may be busy with writes.
      if (!batcher.isDone) await giveWay();
    }
    this.#tier.metrics.scanned({ rows: found.rows.length, points, conflicts });
    yield encoder.end();
  }
}

function pointsAtOnce(columns: readonly ScanColumn[], narrow: boolean): number {
  const usual = Math.min(pointsMax, Math.ceil(bodyBytesMax / (8 * (columns.length + 1))));
  if (!narrow) return usual;
  const pointBytes = columns.reduce((sum, { width }) => sum + width, 8);
  return Math.max(usual, Math.min(narrowPointsMax, Math.floor(narrowBytesMax / pointBytes)));
}

/** What came of the points before the first wait is what is written: rows that were read never change. */
async function fillRoom(
  chunk: Chunk,
  points: PointBatch,
  columns: readonly GatheredColumn[],
  giveWay: () => Promise<void>,
): Promise<ArrowRoom> {
  const room = new ArrowRoom(
    points.rows.length,
    columns.map(({ need }) => need),
  );
  gatherTimes(chunk, points, room.timesNs);
  let gathered = 0;
  for (let index = 0; index < columns.length; index++) {
    columns[index]!.fill(room.columns[index]!);
    gathered += points.rows.length;
    if (gathered < gatheredAtOnce || index === columns.length - 1) continue;
    gathered = 0;
    await giveWay();
  }
  return room;
}

/** The column if the chunk has it; `time` comes anyway. */
async function scanColumn(
  chunk: Chunk,
  name: string,
  series: Int32Array,
  narrow: boolean,
  giveWay: () => Promise<void>,
): Promise<ScanColumn | undefined> {
  const tag = chunk.series.tag(name);
  if (tag !== undefined) {
    const dictionary = await tagDictionary(chunk.series, tag, series, giveWay);
    return { kind: 'tag', name, dictionary, width: narrow ? codeWidth(dictionary) : 4 };
  }
  const column = chunk.column(name);
  // Rows that come during the scan may need more, but those it reads do not.
  return column === undefined ? undefined : { kind: 'field', name, column, width: narrow ? column.width : 8 };
}

function codeWidth({ values }: TagDictionary): IntegerWidth {
  const count = stringCount(values);
  return count <= 0x80 ? 1 : count <= 0x8000 ? 2 : 4;
}

function specOf(column: ScanColumn): ArrowColumnSpec {
  const { name, width } = column;
  return column.kind === 'tag'
    ? { kind: 'tag', name, dictionary: column.dictionary.values, width }
    : { kind: column.column.type, name, width };
}

function dropped({ database, group, table }: HotGroupRequest & { readonly table?: string }): VarveError {
  const what = table === undefined ? 'what is held' : `table "${table}"`;
  return new VarveError(
    'not-found',
    `reading ${what} of database "${database}" in group ${group}: it is not in the hot tier; want a new plan, for history may hold it now`,
  );
}
