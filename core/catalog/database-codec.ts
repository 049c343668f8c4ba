import { consistencyLevels } from './database-settings.js';
import type { RecordCodec } from './record-store.js';
import { Shape } from './shape.js';
import type { Database, DroppedDatabase } from './types.js';

const format = 1;

/** Items `database/<name>`. */
export const databaseCodec: RecordCodec<Database> = {
  encode: (database) => JSON.stringify({ format, ...databaseMembers(database) }),
  decode: (key, text) => readDatabase(Shape.parse(key, text, format)),
};

/** Items `dropped/<database id>`. */
export const droppedDatabaseCodec: RecordCodec<DroppedDatabase> = {
  encode: (dropped) =>
    JSON.stringify({ format, ...databaseMembers(dropped.database), droppedMs: dropped.droppedMs }),
  decode: (key, text) => {
    const shape = Shape.parse(key, text, format);
    return { database: readDatabase(shape), droppedMs: shape.at('droppedMs').integer() };
  },
};

function databaseMembers(database: Database): Database {
  return {
    name: database.name,
    id: database.id,
    createdMs: database.createdMs,
    windowMs: database.windowMs,
    graceMs: database.graceMs,
    lateDelayMs: database.lateDelayMs,
    lateBytesMax: database.lateBytesMax,
    retentionMs: database.retentionMs,
    historyMs: database.historyMs,
    replication: database.replication,
    shards: database.shards,
    consistency: database.consistency,
  };
}

function readDatabase(shape: Shape): Database {
  return {
    name: shape.at('name').string(),
    id: shape.at('id').string(),
    createdMs: shape.at('createdMs').integer(),
    windowMs: shape.at('windowMs').integer(),
    graceMs: shape.at('graceMs').integer(),
    lateDelayMs: shape.at('lateDelayMs').integer(),
    lateBytesMax: shape.at('lateBytesMax').integer(),
    retentionMs: shape.at('retentionMs').nullOr((value) => value.integer()),
    historyMs: shape.at('historyMs').integer(),
    replication: shape.at('replication').integer(),
    shards: shape.at('shards').integer(),
    consistency: shape.at('consistency').oneOf(...consistencyLevels),
  };
}
