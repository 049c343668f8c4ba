import { type PackedKeys, stringCount } from '../../core/model/columns.js';
import { compareUtf8 } from '../../core/model/schema.js';
import { ByteDictionary } from './byte-dictionary.js';
import { resize } from './growing-array.js';
import { ValueOrder } from './value-order.js';

/** Numbers a series in `state`. */
export const stateWidth = 4;
/** The row of the series that came last, or -1. */
export const stateLastRow = 0;
/** How many rows the series has. */
export const stateRows = 1;
/** Low lane of the greatest time of its rows. */
export const stateTimeLow = 2;
/** High lane of the greatest time of its rows. */
export const stateTimeHigh = 3;

/** A tag of a chunk's series. */
export interface TagColumn {
  readonly name: string;
  /** By series: value number + 1, or 0 where the series lacks the tag. */
  codes: Int32Array;
}

const initialSeries = 4;
const textDecoder = new TextDecoder();

/**
 * The series of a chunk, numbered in the order they came: their keys, their tags column by column, and what appending
 * and scanning need to know of each. Values of all tags share one dictionary: a table has many small ones otherwise.
 */
export class SeriesIndex {
  readonly #keys = new ByteDictionary();
  readonly #values = new ByteDictionary();
  /** Byte order of the values. */
  readonly order = new ValueOrder(this.#values);
  /** Names of tags, in the order of `tags`. */
  readonly #names = new ByteDictionary();
  readonly #tags: TagColumn[] = [];
  readonly #tagByName = new Map<string, TagColumn>();
  #state = new Int32Array(initialSeries * stateWidth);
  #disordered = new Uint8Array(initialSeries);

  get count(): number {
    return this.#keys.count;
  }

  /** Distinct tag values. */
  get values(): ByteDictionary {
    return this.#values;
  }

  /** See stateWidth; replaced by a longer copy when series are added. */
  get state(): Int32Array {
    return this.#state;
  }

  /** By series: 1 when some row's time was not greater than those before it. */
  get disordered(): Uint8Array {
    return this.#disordered;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return (
      this.#keys.bytes +
      this.#values.bytes +
      this.#names.bytes +
      this.order.bytes +
      this.#state.byteLength +
      this.#disordered.byteLength +
      this.#tags.length * (this.#tags[0]?.codes.byteLength ?? 0)
    );
  }

  /** The tags that some series has, by name in ascending order of UTF-8 bytes. */
  sortedTags(): readonly TagColumn[] {
    return this.#tags.toSorted((left, right) => compareUtf8(left.name, right.name));
  }

  tag(name: string): TagColumn | undefined {
    return this.#tagByName.get(name);
  }

  /** The tags of a series with their values, by name in ascending order of UTF-8 bytes. Not for hot loops. */
  tagsOf(series: number): readonly (readonly [name: string, value: string])[] {
    return this.sortedTags().flatMap(({ name, codes }) => {
      const code = codes[series]!;
      if (code === 0) return [];
      const { bytes } = this.#values.pack(Int32Array.of(code - 1));
      return [[name, Buffer.from(bytes).toString('utf8')] as const];
    });
  }

  /** Numbers of the series with these canonical keys, in the order of the keys; new series are added. */
  intern(keys: PackedKeys): Int32Array {
    const { offsets, bytes } = keys;
    const numbers = new Int32Array(stringCount(keys));
    for (let at = 0; at < numbers.length; at++) {
      const known = this.#keys.count;
      const from = offsets[at]!;
      const to = offsets[at + 1]!;
      const series = this.#keys.intern(bytes, from, to);
      numbers[at] = series;
      if (series === known) this.#addSeries(series, bytes, from, to);
    }
    return numbers;
  }

  /** Hot where series come and go fast: the key is read in place. */
  #addSeries(series: number, key: Uint8Array, from: number, to: number): void {
    if (series === this.#disordered.length) this.#growTo(series * 2);
    this.#state[series * stateWidth + stateLastRow] = -1;
    for (let at = from; at < to; ) {
      const name = lengthEnd(key, at);
      const nameEnd = name + lengthAt(key, at);
      const value = lengthEnd(key, nameEnd);
      const valueEnd = value + lengthAt(key, nameEnd);
      const number = this.#names.intern(key, name, nameEnd);
      const tag = this.#tags[number] ?? this.#addTag(key.subarray(name, nameEnd));
      tag.codes[series] = this.#values.intern(key, value, valueEnd) + 1;
      at = valueEnd;
    }
  }

  #addTag(nameBytes: Uint8Array): TagColumn {
    const name = textDecoder.decode(nameBytes);
    const tag = { name, codes: new Int32Array(this.#disordered.length) };
    this.#tags.push(tag);
    this.#tagByName.set(name, tag);
    return tag;
  }

  #growTo(capacity: number): void {
    this.#state = resize(this.#state, capacity * stateWidth);
    this.#disordered = resize(this.#disordered, capacity);
    for (const tag of this.#tags) tag.codes = resize(tag.codes, capacity);
  }
}

/** The varint of a length in a series key. */
function lengthAt(key: Uint8Array, at: number): number {
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = key[at++]!;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return length;
  }
}

/** Where the varint ends. */
function lengthEnd(key: Uint8Array, at: number): number {
  while (key[at]! >= 0x80) at += 1;
  return at + 1;
}
