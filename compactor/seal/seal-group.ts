import { ownersOf } from '../../core/catalog/group-list.js';
import type {
  Database,
  NodeRecord,
  SealException,
  SequenceRange,
  ShardGroup,
  TableRecord,
} from '../../core/catalog/types.js';
import type { CommitRequest, CommitResult } from '../../core/iceberg/settled-tables.js';
import type { DataFile } from '../../core/iceberg/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { AssertionError } from '../../core/std/assert.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import { failpoint } from '../../core/std/failpoint.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import { fencedError, type Hold, notFenced, stampOf } from '../fencing.js';
import type { FilesInFlight } from '../rows/files-in-flight.js';
import { type AgreementTools, agreeOnContent, describeExceptions } from './agree-on-content.js';
import type { ChunkToSeal, ContentAgreement } from './judge-content.js';
import { type SealTableTools, writeTableFiles } from './seal-table.js';

/** The one call of SettledTables that sealing needs. */
export interface SealCommits {
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitResult>;
}

/** Reaches an ingest node: its batches and its hot chunks. */
export type PeerLookup = (node: NodeId) => Peer & HotReader;

export interface SealGroupTools extends Omit<AgreementTools, 'peers'> {
  readonly catalog: CompactorCatalog;
  readonly settled: SealCommits;
  readonly peers: PeerLookup;
  readonly files: Omit<SealTableTools, 'readerOf'>;
  readonly inFlight: FilesInFlight;
  /** A file must be committed this soon after its first put; well below the grace of expiry. */
  readonly commitWithinMs: number;
}

export type SealGroupResult =
  | {
      readonly kind: 'sealed';
      readonly tables: number;
      readonly files: number;
      readonly rows: number;
      readonly bytes: number;
      /** Nodes that could not be asked when the content was agreed on. */
      readonly exceptions: readonly SealException[];
      /** Batches that were agreed on and that no node holds any more. */
      readonly gone: number;
    }
  /** Its owners do not agree yet, or one cannot be reached. */
  | { readonly kind: 'waiting'; readonly reason: string };

/** Property of a snapshot that was sealed although some nodes could not be asked, and which. */
const exceptionProperty = 'varve.seal-exception';
/** Commits of tables under way at one time, while the next table's file is being made. */
const commitsMax = 4;

/**
 * Takes one closing group to sealed: agree on the content, write each table's files, commit each table, then mark the
 * group. Every step may be done again: a table that names the group is left out, equal files are put under equal
 * keys, a group that is sealed is not sealed again. Throws `fenced` when another compactor has taken over, and what
 * failed when a table could not be committed; the group then stays closing.
 */
export async function sealGroup(
  database: Database,
  group: ShardGroup,
  tools: SealGroupTools,
  hold: Hold,
): Promise<SealGroupResult> {
  const nodes = await tools.catalog.nodes.list(hold.signal);
  const found = await agreeOnContent(database.id, group, nodes, tools, hold.signal);
  if (found.kind === 'waiting') return found;
  const content = await writeDown(database, group, found, nodes, tools, hold);
  const commits = new TableCommits(database, group, content.exceptions, tools, hold);
  try {
    for (const [table, chunks] of chunksByTable(content.chunks)) {
      const record = await recordOf(database, group, table, tools, hold);
      if (!record.sealedGroups.includes(group.id)) await commits.add(record, chunks);
    }
  } finally {
    await commits.settle();
  }
  const sealed = commits.result();
  failpoint('seal.before-group-sealed');
  await markSealed(database, group, content.batches, tools, hold);
  failpoint('seal.after-group-sealed');
  return { kind: 'sealed', ...sealed, exceptions: content.exceptions, gone: content.gone };
}

type Agreed = Extract<ContentAgreement, { readonly kind: 'agreed' }>;

/**
 * Puts what was agreed on into the catalog before anything of it is committed: after a crash between two commits
 * other nodes may be reachable, and what they add must not pass for sealed. A node that is alone finds the same again.
 */
async function writeDown(
  database: Database,
  group: ShardGroup,
  content: Agreed,
  nodes: readonly NodeRecord[],
  { catalog, clock }: SealGroupTools,
  hold: Hold,
): Promise<Agreed> {
  if (group.sealedBatches !== null) return { ...content, exceptions: group.sealExceptions ?? [] };
  if (nodes.length <= 1 && ownersOf(group).length <= 1) return content;
  const answer = await catalog.groups.agree(database, group.id, content, stampOf(clock, hold), hold.signal);
  const outcome = notFenced(answer.outcome, `agreeing on group ${group.id}`, hold);
  if (outcome.kind === 'agreed') return content;
  throw new VarveError(
    'conflict',
    `agreeing on group ${group.id}: the catalog answered "${outcome.kind}"; want it next to seal and not agreed on`,
  );
}

async function recordOf(
  database: Database,
  group: ShardGroup,
  table: string,
  { catalog }: SealGroupTools,
  hold: Hold,
): Promise<TableRecord> {
  hold.signal.throwIfAborted();
  const record = await catalog.tables.get(database.name, table, hold.signal);
  if (record !== undefined) return record.value;
  throw new VarveError(
    'internal',
    `sealing group ${group.id}: got rows of "${table}"; the catalog has no such table`,
  );
}

async function markSealed(
  database: Database,
  group: ShardGroup,
  batches: readonly SequenceRange[],
  { catalog, clock }: SealGroupTools,
  hold: Hold,
): Promise<void> {
  const stamp = stampOf(clock, hold);
  const answer = await catalog.groups.seal(database, group.id, batches, stamp, hold.signal);
  const outcome = notFenced(answer.outcome, `sealing group ${group.id}`, hold);
  if (outcome.kind !== 'refused') return;
  const waitsFor = outcome.waitsFor === null ? '' : ` after ${outcome.waitsFor}`;
  throw new VarveError(
    'conflict',
    `sealing group ${group.id}: got it ${outcome.state}${waitsFor}; want it next to seal`,
  );
}

/** Writes the files of one table after the other and commits them meanwhile; one table's failure does not stop the others. */
class TableCommits {
  readonly #database: Database;
  readonly #group: ShardGroup;
  readonly #tools: SealGroupTools;
  readonly #hold: Hold;
  readonly #properties: Readonly<Record<string, string>>;
  readonly #running = new Set<Promise<void>>();
  readonly #failures: { readonly table: string; readonly error: unknown }[] = [];
  #tables = 0;
  #files = 0;
  #rows = 0;
  #bytes = 0;

  constructor(
    database: Database,
    group: ShardGroup,
    exceptions: readonly SealException[],
    tools: SealGroupTools,
    hold: Hold,
  ) {
    this.#properties = exceptions.length === 0 ? {} : { [exceptionProperty]: describeExceptions(exceptions) };
    this.#database = database;
    this.#group = group;
    this.#tools = tools;
    this.#hold = hold;
  }

  async add(record: TableRecord, chunks: readonly ChunkToSeal[]): Promise<void> {
    const startedMs = this.#tools.clock.monotonicMs();
    const scope = this.#tools.inFlight.open();
    const request = { database: this.#database, group: this.#group, record, chunks };
    const tools: SealTableTools = { ...this.#tools.files, readerOf: this.#tools.peers };
    try {
      const files = await writeTableFiles(request, tools, scope, this.#hold.signal);
      while (this.#running.size >= commitsMax) await Promise.race(this.#running);
      if (this.#tables + this.#running.size > 0) failpoint('seal.between-table-commits');
      const commit: Promise<void> = this.#commit(record.table, files, startedMs)
        .catch((error: unknown) => {
          this.#failures.push({ table: record.table, error });
        })
        .finally(() => {
          scope.letGo();
          this.#running.delete(commit);
        });
      this.#running.add(commit);
    } catch (error) {
      scope.letGo();
      this.#failures.push({ table: record.table, error });
    }
  }

  /** Waits for all commits under way, however they end. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** What was committed, all having settled. Throws `fenced` or a failure, naming the tables, if there was one. */
  result(): { tables: number; files: number; rows: number; bytes: number } {
    this.#hold.signal.throwIfAborted();
    const [first] = this.#failures;
    const final = this.#failures.find(
      ({ error }) => isVarveError(error, 'fenced') || error instanceof AssertionError,
    );
    if (final !== undefined) throw final.error;
    if (first !== undefined) {
      const tables = this.#failures.map(({ table }) => `"${table}"`).join(', ');
      const kind = isVarveError(first.error) ? first.error.kind : 'internal';
      const message = `sealing group ${this.#group.id}, table ${tables}: ${errorMessage(first.error)}`;
      throw new VarveError(kind, message, { cause: first.error });
    }
    return { tables: this.#tables, files: this.#files, rows: this.#rows, bytes: this.#bytes };
  }

  async #commit(table: string, files: readonly DataFile[], startedMs: number): Promise<void> {
    const { clock, settled, commitWithinMs } = this.#tools;
    const tookMs = clock.monotonicMs() - startedMs;
    if (tookMs > commitWithinMs) {
      const message = `writing its files took ${Math.round(tookMs)} ms; want at most ${commitWithinMs}, or expiry might meet them`;
      throw new VarveError('timeout', message);
    }
    failpoint('seal.before-table-commit');
    const result = await settled.commit(
      {
        database: this.#database,
        table,
        change: { kind: 'seal', groups: [this.#group.id], added: files, properties: this.#properties },
        fencingEpoch: this.#hold.epoch,
      },
      this.#hold.signal,
    );
    if (result.kind === 'fenced') throw fencedError(`sealing table "${table}"`, this.#hold.epoch, result.by);
    failpoint('seal.after-table-commit');
    this.#tables += 1;
    for (const file of files) {
      this.#files += 1;
      this.#rows += file.rows;
      this.#bytes += file.bytes;
    }
  }
}

function chunksByTable(chunks: readonly ChunkToSeal[]): Map<string, ChunkToSeal[]> {
  const byTable = new Map<string, ChunkToSeal[]>();
  for (const chunk of chunks) {
    const known = byTable.get(chunk.table);
    if (known === undefined) byTable.set(chunk.table, [chunk]);
    else known.push(chunk);
  }
  return byTable;
}
