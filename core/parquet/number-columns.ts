import { AssertionError } from '../std/assert.js';
import { decimalsOf } from './decimal.js';
import { encodeDelta } from './delta-encoder.js';
import { dictionaryBytesMax, dictionaryColumn } from './dictionary-column.js';
import type { EncodedValues } from './encoded-column.js';
import { decimalBytes, encoding } from './format.js';
import { bitWidthOf } from './hybrid-encoder.js';
import { bytesOf } from './lanes.js';
import { buildNumberDictionary, sortedByBits } from './number-dictionary.js';
import { compressedSize, sampledBytes, sampledLanes, sampleOf } from './sample.js';
import { doubleStatistics, integerStatistics, smallStatistics, type ValueStatistics } from './statistics.js';

/** With more distinct integers than this in a sample, deltas are taken without a try at a dictionary. */
const sampledIntegersMax = 256;

/** Times, which move in small or regular steps. */
export function timeColumn(lanes: Int32Array): EncodedValues {
  return deltaColumn(lanes, integerStatistics(lanes, true));
}

function deltaColumn(lanes: Int32Array, statistics: ValueStatistics): EncodedValues {
  return {
    encoding: encoding.deltaBinaryPacked,
    dictionary: null,
    statistics,
    valueBytes: 8,
    write: (from, to, into) => encodeDelta(lanes, from, to, into),
  };
}

/** Nanoseconds 0 to 999: as small positive numbers their deltas are the same bytes for INT32 as for INT64. */
export function nanosColumn(nanos: Int32Array): EncodedValues {
  const lanes = new Int32Array(nanos.length * 2);
  for (let row = 0; row < nanos.length; row++) {
    const value = nanos[row]!;
    if (value < 0 || value > 999) throw new AssertionError(`got time_ns ${value}; want 0 to 999`);
    lanes[row * 2] = value;
  }
  return deltaColumn(lanes, smallStatistics(nanos));
}

/** Integers: deltas, or a dictionary where a few values alternate by wide steps (states, codes, sizes). */
export function integerColumn(lanes: Int32Array, present: number): EncodedValues {
  const statistics = integerStatistics(lanes, true);
  const delta = deltaColumn(lanes, statistics);
  const sample = sampleOf(present);
  const few = buildNumberDictionary(sampledLanes(lanes, sample), sample.values, sampledIntegersMax);
  if (few === null) return delta;
  const dictionaryBits = bitWidthOf(few.count - 1) * sample.values;
  if (dictionaryBits >= sampledBytes(sample, delta.write).length * 8) return delta;
  const dictionary = buildNumberDictionary(lanes, present, sampledIntegersMax * 2);
  if (dictionary === null) return delta;
  return dictionaryColumn(bytesOf(dictionary.lanes), dictionary, statistics);
}

/** Doubles: a dictionary where values come back often enough to pay for it, else as they lie in memory. */
export function doubleColumn(lanes: Int32Array, present: number): EncodedValues {
  const statistics = doubleStatistics(new Float64Array(lanes.buffer, lanes.byteOffset, present));
  return dictionaryOrPlain(lanes, present, { width: 8, toBytes: bytesOf, statistics });
}

/** Unsigned integers, as decimals of nine bytes. */
export function decimalColumn(lanes: Int32Array, present: number): EncodedValues {
  const statistics = integerStatistics(lanes, false);
  return dictionaryOrPlain(lanes, present, { width: decimalBytes, toBytes: decimalsOf, statistics });
}

/** Booleans, eight a byte: zstd sees to their runs, and every reader knows PLAIN. */
export function booleanColumn(values: Uint8Array, validity: Uint8Array | null): EncodedValues {
  const dense = validity === null ? values : values.filter((_, row) => validity[row] !== 0);
  return {
    encoding: encoding.plain,
    dictionary: null,
    statistics: smallStatistics(dense),
    valueBytes: 1 / 8,
    write: (from, to, into) => {
      into.reserve((to - from + 7) >> 3);
      for (let at = from; at < to; at += 8) {
        let byte = 0;
        const end = Math.min(at + 8, to);
        for (let bit = at; bit < end; bit++) byte |= (dense[bit]! === 0 ? 0 : 1) << (bit - at);
        into.bytes[into.length++] = byte;
      }
    },
  };
}

interface PlainForm {
  /** Bytes a value. */
  readonly width: number;
  readonly toBytes: (lanes: Int32Array) => Uint8Array;
  readonly statistics: ValueStatistics;
}

function dictionaryOrPlain(
  lanes: Int32Array,
  present: number,
  { width, toBytes, statistics }: PlainForm,
): EncodedValues {
  const plain: EncodedValues = {
    encoding: encoding.plain,
    dictionary: null,
    statistics,
    valueBytes: width,
    write: (from, to, into) => into.append(toBytes(lanes.subarray(from * 2, to * 2))),
  };
  const sample = sampleOf(present);
  // Nearly all values new, even in a sample: no dictionary can win, so none is built.
  const few = Math.max(16, (sample.values * 7) >> 3);
  if (buildNumberDictionary(sampledLanes(lanes, sample), sample.values, few) === null) return plain;
  const countMax = Math.floor(dictionaryBytesMax / width);
  const found = buildNumberDictionary(lanes, present, countMax);
  if (found === null) return plain;
  const dictionary = sortedByBits(found);
  const bytes = toBytes(dictionary.lanes);
  const column = dictionaryColumn(bytes, dictionary, statistics);
  const scale = present / sample.values;
  const indexSize = compressedSize(sampledBytes(sample, column.write)) * scale;
  const plainSize = compressedSize(sampledBytes(sample, plain.write)) * scale;
  return compressedSize(bytes) + indexSize <= plainSize ? column : plain;
}
