import type { EncodedColumn, EncodedValues } from './encoded-column.js';
import { encoding } from './format.js';
import { countPresent, lanesOf, presentLanes } from './lanes.js';
import {
  booleanColumn,
  decimalColumn,
  doubleColumn,
  integerColumn,
  nanosColumn,
  timeColumn,
} from './number-columns.js';
import { stringColumn, tagColumn } from './string-columns.js';
import { tagValidity } from './string-dictionary.js';
import type { ParquetColumnData } from './types.js';

/** Chooses the encoding of a column chunk from its data. */
export function encodeColumn(data: ParquetColumnData, rowCount: number): EncodedColumn {
  const given = validityOf(data);
  const present = given === null ? rowCount : countPresent(given, 0, rowCount);
  const validity = present === rowCount ? null : given;
  const values = present === 0 ? noValues(data) : encodeValues(data, validity, present);
  return { ...values, present, validity };
}

function validityOf(data: ParquetColumnData): Uint8Array | null {
  if (data.kind === 'tag') return tagValidity(data.tags.codes);
  return data.kind === 'field' ? data.validity : null;
}

function encodeValues(data: ParquetColumnData, validity: Uint8Array | null, present: number): EncodedValues {
  if (data.kind === 'time') return timeColumn(lanesOf(data.micros));
  if (data.kind === 'time-ns') return nanosColumn(data.nanos);
  if (data.kind === 'tag') return tagColumn(data.tags, present);
  if (data.type === 'string') return stringColumn(data.values, validity, present);
  if (data.type === 'boolean') return booleanColumn(data.values, validity);
  const lanes = presentLanes(lanesOf(data.values), validity, present);
  if (data.type === 'bigint') return integerColumn(lanes, present);
  return data.type === 'double' ? doubleColumn(lanes, present) : decimalColumn(lanes, present);
}

/** All rows are null: pages of levels only. */
function noValues(data: ParquetColumnData): EncodedValues {
  const nanCount = data.kind === 'field' && data.type === 'double' ? 0 : null;
  return {
    encoding: encoding.plain,
    dictionary: null,
    statistics: { bounds: null, nanCount },
    valueBytes: 0,
    write: () => {},
  };
}
