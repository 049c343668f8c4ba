import { type Command, Option } from 'commander';
import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import type { DatabaseSettings } from '../../core/catalog/types.js';
import { formatDurationMs } from '../../core/std/units.js';
import { countFlag, durationFlag, sizeFlag, switchFlag, textFlag, textFlagOr } from '../flags.js';
import type { LogFlags } from './logging.js';
import type { StoreFlags } from './stores.js';

/** Where a process listens and who may ask it. */
export interface ListenFlags extends LogFlags {
  readonly host: string;
  readonly port: number;
  readonly tokenFile?: string;
  readonly insecure: boolean;
}

/** What the ingest room is told. */
export interface IngestFlags extends DatabaseFlags {
  readonly createDatabases: boolean;
  readonly hotBytesMax: number;
  readonly walBytesMax: number;
  readonly walSegmentBytes: number;
  readonly requestBytesMax: number;
  readonly columnsMax: number;
  readonly tablesMax: number;
}

/** Settings of databases made by a first write. */
export interface DatabaseFlags {
  readonly window: number;
  readonly deadline: number;
  readonly lateDelay: number;
  readonly lateBytesMax: number;
  readonly retention?: number;
  readonly history: number;
  /** Of a cluster; a server that is alone has one. */
  readonly replication?: number;
}

/** What the querier is told. */
export interface QueryFlags {
  readonly queryThreads: number;
  readonly queryMemory: number;
  readonly querySpill: number;
  readonly queryTimeout: number;
  readonly queryConcurrency: number;
}

/** What the compactor is told. */
export interface CompactionFlags {
  readonly compactInterval: number;
  readonly housekeepingInterval: number;
  readonly releaseGrace: number;
  readonly sealPatience: number;
  readonly unreferencedGrace: number;
  readonly mergeFanIn: number;
}

/** The flags of `varve serve`, parsed. */
export interface ServeFlags extends ListenFlags, StoreFlags, IngestFlags, QueryFlags, CompactionFlags {
  readonly nodeId: string;
}

/** Flags under a heading of the help. */
export type FlagGroup = readonly [heading: string, options: readonly Option[]];

/** Adds the flags to a command, grouped as the help shows them. */
export function withFlags(command: Command, groups: readonly FlagGroup[]): Command {
  for (const [heading, options] of groups)
    for (const option of options) command.addOption(option.helpGroup(heading));
  return command;
}

/** Adds the flags of `varve serve`. */
export function withServeFlags(command: Command): Command {
  return withFlags(command, [
    [
      'Server:',
      [
        ...listenOptions('8086'),
        textFlag('--data-dir <path>', 'folder of everything this server keeps', './data'),
        textFlag('--node-id <name>', 'name of this node', 'node-1'),
        ...logOptions(),
      ],
    ],
    [
      'Stores:',
      [
        textFlagOr(
          '--object-store <url>',
          'file:PATH or s3://bucket/prefix',
          'objects in the data directory',
        ),
        textFlagOr('--meta-store <url>', 'lmdb:PATH or dynamodb://table', 'meta in the data directory'),
        switchFlag('--s3-path-style', 'the bucket in the path of URLs; always so with AWS_ENDPOINT_URL'),
      ],
    ],
    ['Settings of databases made by a first write:', databaseOptions()],
    ['Limits:', limitOptions()],
    ['Queries:', queryOptions()],
    ['Compaction:', compactionOptions()],
  ]);
}

/** Where to listen, and who may ask. */
export function listenOptions(portText: string): readonly Option[] {
  return [
    textFlag(
      '--host <address>',
      'address to listen on; beyond loopback needs --token-file or --insecure',
      '127.0.0.1',
    ),
    countFlag('--port <number>', 'port to listen on; 0 picks a free one', portText, 0, 65_535),
    textFlag('--token-file <path>', 'file of tokens that clients must show, one a line'),
    switchFlag('--insecure', 'listen beyond loopback without tokens'),
  ];
}

/** What is logged and how. */
export function logOptions(): readonly Option[] {
  return [
    new Option('--log-level <level>', 'least severe message logged')
      .env('VARVE_LOG_LEVEL')
      .choices(['trace', 'debug', 'info', 'warn', 'error'])
      .default('info'),
    new Option('--log-format <format>', 'how messages are logged')
      .env('VARVE_LOG_FORMAT')
      .choices(['text', 'json'])
      .default('text'),
  ];
}

/** Settings of databases that a first write makes. */
export function databaseOptions(): readonly Option[] {
  const defaults = defaultDatabaseSettings;
  return [
    durationFlag('--window <duration>', 'length of a window', formatDurationMs(defaults.windowMs)),
    durationFlag(
      '--deadline <duration>',
      'grace after the end of a window before it is settled',
      formatDurationMs(defaults.graceMs),
    ),
    durationFlag(
      '--late-delay <duration>',
      'how long late points gather before they are settled',
      formatDurationMs(defaults.lateDelayMs),
    ),
    sizeFlag('--late-bytes-max <size>', 'late points are settled earlier when they take so much', '256MiB'),
    durationFlag('--retention <duration>', 'how long points are kept (default: for ever)'),
    durationFlag(
      '--history <duration>',
      'how long past versions of settled history are kept',
      formatDurationMs(defaults.historyMs),
    ),
    new Option('--no-create-databases', 'writes to an unknown database are refused'),
  ];
}

/** Limits of an ingest node. */
export function limitOptions(): readonly Option[] {
  return [
    sizeFlag('--hot-bytes-max <size>', 'memory of points in flux; at the limit writes answer 503', '2GiB'),
    sizeFlag(
      '--wal-bytes-max <size>',
      'files of the write-ahead log; at the limit writes answer 507',
      '16GiB',
    ),
    sizeFlag('--wal-segment-bytes <size>', 'one file of the write-ahead log', '64MiB'),
    sizeFlag('--request-bytes-max <size>', 'line protocol a request, unzipped', '128MiB'),
    countFlag('--columns-max <count>', 'columns a table', '1000', 1),
    countFlag('--tables-max <count>', 'tables a database', '10000', 1),
  ];
}

/** The engine and its limits. */
export function queryOptions(): readonly Option[] {
  return [
    countFlag('--query-threads <count>', 'threads of the engine', '2', 1),
    sizeFlag('--query-memory <size>', 'memory of the engine; beyond it, it spills to disk', '1GiB'),
    sizeFlag('--query-spill <size>', 'disk for spilling', '8GiB'),
    durationFlag('--query-timeout <duration>', 'longest a query may run', '60s'),
    countFlag(
      '--query-concurrency <count>',
      'queries at once; more wait a while, then answer 429; above 2 set UV_THREADPOOL_SIZE to this + 2',
      '2',
      1,
    ),
  ];
}

/** How often the compactor looks, and its graces. */
export function compactionOptions(): readonly Option[] {
  return [
    durationFlag('--compact-interval <duration>', 'how often due groups are looked for', '1s'),
    durationFlag(
      '--housekeeping-interval <duration>',
      'how often files are merged and history expired',
      '10s',
    ),
    durationFlag(
      '--release-grace <duration>',
      'how long sealed points stay in memory for running queries',
      '5s',
    ),
    durationFlag(
      '--seal-patience <duration>',
      'how long a closed window waits for all its owners before a quorum suffices',
      '2m',
    ),
    durationFlag('--unreferenced-grace <duration>', 'how long objects stay that no snapshot names', '1h'),
    countFlag('--merge-fan-in <count>', 'small files of a day merged at a time', '8', 2),
  ];
}

/** Settings of databases that a first write makes. */
export function databaseDefaults(flags: DatabaseFlags): DatabaseSettings {
  return {
    ...defaultDatabaseSettings,
    windowMs: flags.window,
    graceMs: flags.deadline,
    lateDelayMs: flags.lateDelay,
    lateBytesMax: flags.lateBytesMax,
    retentionMs: flags.retention ?? null,
    historyMs: flags.history,
    replication: flags.replication ?? defaultDatabaseSettings.replication,
  };
}
