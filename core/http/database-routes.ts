import type { FastifyInstance } from 'fastify';
import { databaseTrustMs } from '../catalog/database-settings.js';
import type { ConsistencyLevel, Database, DatabaseSettings } from '../catalog/types.js';
import type { Clock } from '../ports/clock.js';
import { VarveError } from '../std/errors.js';
import { formatDurationMs, parseDurationMs, parseSizeBytes } from '../std/units.js';

/** What the routes ask of the catalog. */
export interface DatabaseAdministration {
  list(): Promise<readonly Database[]>;
  create(name: string, settings: DatabaseSettings): Promise<{ readonly kind: 'created' | 'exists' }>;
  /** False when there is no such database. */
  delete(name: string): Promise<boolean>;
}

/** How the routes are set up. */
export interface DatabaseRoutesOptions {
  readonly databases: DatabaseAdministration;
  /** Settings of a database that names none. */
  readonly defaults: DatabaseSettings;
  /** Owners a shard that there can be; more would never be met, so it is refused. */
  readonly replicationMax: number;
  readonly clock: Clock;
}

/** Registers GET, POST and DELETE /api/v3/configure/database. */
export function registerDatabaseRoutes(server: FastifyInstance, options: DatabaseRoutesOptions): void {
  const path = '/api/v3/configure/database';

  server.get(path, async (_request, reply) => {
    const databases = await options.databases.list();
    return reply.send(databases.map(describeDatabase));
  });

  server.post(path, async (request, reply) => {
    const body = objectOf(request.body);
    const name = textOf(body, 'db');
    if (name === undefined)
      throw new VarveError('invalid', 'create database: got no "db"; want the name of the database');
    const settings = settingsOf(body, options.defaults);
    if (settings.replication > options.replicationMax) {
      throw new VarveError(
        'invalid',
        `create database "${name}": got replication ${settings.replication}; want at most ${options.replicationMax}`,
      );
    }
    const outcome = await options.databases.create(name, settings);
    if (outcome.kind === 'exists')
      throw new VarveError('conflict', `create database "${name}": it exists already`);
    return reply.send({});
  });

  server.delete(path, async (request, reply) => {
    const name = textOf(objectOf(request.query), 'db');
    if (name === undefined)
      throw new VarveError('invalid', 'delete database: got no "db"; want the name of the database');
    if (!(await options.databases.delete(name)))
      throw new VarveError('not-found', `delete database: there is no database "${name}"`);
    // A node may still know the database. What it takes meanwhile is gone with it, so nobody is told yet (invariant 2).
    await options.clock.sleep(databaseTrustMs);
    return reply.send({});
  });
}

/** A database as the API shows it; the first key is the one InfluxDB 3 clients read. */
function describeDatabase(database: Database): Readonly<Record<string, unknown>> {
  return {
    'iox::database': database.name,
    window: formatDurationMs(database.windowMs),
    deadline: formatDurationMs(database.graceMs),
    late_delay: formatDurationMs(database.lateDelayMs),
    late_bytes_max: database.lateBytesMax,
    retention: database.retentionMs === null ? null : formatDurationMs(database.retentionMs),
    history: formatDurationMs(database.historyMs),
    replication: database.replication,
    shards: database.shards,
    consistency: database.consistency,
  };
}

const levels: readonly ConsistencyLevel[] = ['any', 'one', 'quorum', 'all'];
const known = new Set([
  'db',
  'window',
  'deadline',
  'late_delay',
  'late_bytes_max',
  'retention',
  'retention_period',
  'history',
  'replication',
  'shards',
  'consistency',
]);

function settingsOf(body: Readonly<Record<string, unknown>>, defaults: DatabaseSettings): DatabaseSettings {
  const unknown = Object.keys(body).filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new VarveError(
      'invalid',
      `create database: got unknown setting "${unknown.join('", "')}"; want some of ${[...known].join(', ')}`,
    );
  }
  const duration = (name: string, otherwise: number): number => {
    const text = textOf(body, name);
    return text === undefined ? otherwise : parseDurationMs(text);
  };
  const retention = textOf(body, 'retention') ?? textOf(body, 'retention_period');
  const lateBytes = body['late_bytes_max'];
  return {
    windowMs: duration('window', defaults.windowMs),
    graceMs: duration('deadline', defaults.graceMs),
    lateDelayMs: duration('late_delay', defaults.lateDelayMs),
    lateBytesMax:
      typeof lateBytes === 'string'
        ? parseSizeBytes(lateBytes)
        : countOf(body, 'late_bytes_max', defaults.lateBytesMax),
    retentionMs: retention === undefined ? defaults.retentionMs : parseDurationMs(retention),
    historyMs: duration('history', defaults.historyMs),
    replication: countOf(body, 'replication', defaults.replication),
    shards: countOf(body, 'shards', defaults.shards),
    consistency: levelOf(body, defaults.consistency),
  };
}

function levelOf(body: Readonly<Record<string, unknown>>, otherwise: ConsistencyLevel): ConsistencyLevel {
  const text = textOf(body, 'consistency');
  if (text === undefined) return otherwise;
  const level = levels.find((candidate) => candidate === text);
  if (level === undefined)
    throw new VarveError(
      'invalid',
      `create database: got consistency "${text}"; want one of ${levels.join(', ')}`,
    );
  return level;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new VarveError(
    'invalid',
    `got ${value === undefined || value === null ? 'no body' : typeof value}; want a JSON object`,
  );
}

function textOf(body: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = body[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string')
    throw new VarveError('invalid', `got ${name} ${JSON.stringify(value)}; want text`);
  return value;
}

function countOf(body: Readonly<Record<string, unknown>>, name: string, otherwise: number): number {
  const value = body[name];
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new VarveError('invalid', `got ${name} ${JSON.stringify(value)}; want a whole number`);
  }
  return value;
}
