import { Shape } from '../catalog/shape.js';
import type { GroupId, NodeId } from '../model/batch.js';
import type {
  ConflictList,
  ConflictRequest,
  FieldConflict,
  KeptConflictRequest,
} from '../ports/conflict-reader.js';

/** Reads the argument of conflicts. Errors of this and all readers here: `corrupt`. */
export function readConflictRequest(value: unknown): ConflictRequest {
  const shape = Shape.of(value, 'request for conflicts');
  return {
    database: shape.at('database').string(),
    group: shape.at('group').string() as GroupId,
    conflictsMax: shape.at('conflictsMax').integer(),
    ...(shape.has('only') ? { only: shape.at('only').array((shard) => shard.integer()) } : {}),
  };
}

/** Reads the argument of kept-conflicts. */
export function readKeptConflictRequest(value: unknown): KeptConflictRequest {
  const shape = Shape.of(value, 'request for conflicts of settled groups');
  return { database: shape.at('database').string(), conflictsMax: shape.at('conflictsMax').integer() };
}

/** The answer of conflicts and kept-conflicts as JSON: times as text. */
export function conflictListJson({ conflicts, isCut }: ConflictList): object {
  return {
    conflicts: conflicts.map((conflict) => ({ ...conflict, timeNs: `${conflict.timeNs}` })),
    isCut,
  };
}

/** Reads the answer of conflicts and kept-conflicts. */
export function readConflictList(value: unknown): ConflictList {
  const shape = Shape.of(value, 'list of conflicts');
  return { conflicts: shape.at('conflicts').array(fieldConflict), isCut: shape.at('isCut').boolean() };
}

function fieldConflict(shape: Shape): FieldConflict {
  return {
    table: shape.at('table').string(),
    tags: shape.at('tags').array((pair) => {
      const [name, tagValue] = pair.pair();
      return [name.string(), tagValue.string()] as const;
    }),
    timeNs: shape.at('timeNs').bigint(),
    field: shape.at('field').string(),
    values: shape.at('values').array((each) => ({
      text: each.at('text').string(),
      origin: each.at('origin').string() as NodeId,
    })),
    group: shape.at('group').string() as GroupId,
    shard: shape.at('shard').integer(),
  };
}
