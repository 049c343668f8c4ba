import { timeFieldId } from '../model/schema.js';
import { VarveError } from '../std/errors.js';
import type { DataFile } from './types.js';

/** A partition spec in the JSON form of the specification (appendix C). */
export interface PartitionSpec {
  readonly 'spec-id': number;
  readonly fields: readonly PartitionField[];
}

export interface PartitionField {
  readonly 'source-id': number;
  readonly 'field-id': number;
  readonly name: string;
  readonly transform: 'day';
}

/** The default: files whose rows all lie in one day. */
export const daySpec: PartitionSpec = {
  'spec-id': 0,
  fields: [{ 'source-id': timeFieldId, 'field-id': 1000, name: 'time_day', transform: 'day' }],
};

/** Files that span days: a few points a day over years would otherwise make thousands of files. */
export const spanSpec: PartitionSpec = { 'spec-id': 1, fields: [] };

/** Every spec of a table, by id. */
export const partitionSpecs: readonly PartitionSpec[] = [daySpec, spanSpec];
/** Highest partition field id; the specification numbers them from 1000. */
export const lastPartitionFieldId = 1000;

/** The spec under which a file is listed: a manifest holds files of one spec only. */
export function specOf(file: Pick<DataFile, 'day'>): PartitionSpec {
  return file.day === null ? spanSpec : daySpec;
}

/** The spec with this id; `corrupt` for one that Varve does not write. */
export function specById(specId: number): PartitionSpec {
  const spec = partitionSpecs.find((candidate) => candidate['spec-id'] === specId);
  if (spec !== undefined) return spec;
  throw new VarveError('corrupt', `got partition spec ${specId}; want 0 or 1`);
}
