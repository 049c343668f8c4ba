import type { IntegerWidth } from '../../core/codec/narrow-integers.js';
import type { FieldColumn, FieldType, StringValues } from '../../core/model/columns.js';
import type { FieldCells } from '../../core/model/merge.js';
import { blockCapacity, blockMask, blockRows, blockShift, forEachBlock } from './blocks.js';
import { grow, resize } from './growing-array.js';
import {
  bitsOf,
  type GivenNumbers,
  type NumberType,
  type NumberValues,
  neededWidth,
  noNumbers,
  resized,
  store,
  widthOf,
} from './number-block.js';

/** The values of up to 32,768 rows, in the array for the column's type; the others are empty. */
export interface ColumnBlock {
  /** Rows for which there is room. */
  capacity: number;
  /** Numbers. What stands where the field is absent is arbitrary, here and in flags. */
  numbers: NumberValues;
  /** Booleans, a byte a row. */
  flags: Uint8Array;
  /** Strings: where each row's text ends. */
  ends: Uint32Array;
  /** Strings: UTF-8 back to back. */
  text: Uint8Array;
  textBytes: number;
  /** One byte a row: 1 present, 0 absent; null when all rows written so far are present. */
  validity: Uint8Array | null;
}

/**
 * The values of one field in a chunk. Rows before `rowCount` are written; later rows of the chunk lack the field until
 * something is appended behind them, so that a batch costs nothing for the columns it does not have. Written rows
 * never change and arrays are only ever replaced by longer copies: a reader needs no lock, only a row count.
 */
export class HotColumn implements FieldCells {
  readonly name: string;
  readonly type: FieldType;
  readonly blocks: (ColumnBlock | undefined)[] = [];
  #rowCount = 0;
  #sparse = false;
  #bytes = 0;

  constructor(name: string, type: FieldType) {
    this.name = name;
    this.type = type;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when some of the chunk's first `rows` rows may lack the field. */
  mayLack(rows: number): boolean {
    return this.#sparse || this.#rowCount < rows;
  }

  /** Bytes that the largest number of the column needs; 8 means any number, or none. */
  get width(): IntegerWidth {
    let width: IntegerWidth = 1;
    for (const block of this.blocks) {
      if (block !== undefined && widthOf(block.numbers) > width) width = widthOf(block.numbers);
    }
    return width;
  }

  has(row: number): boolean {
    if (row >= this.#rowCount) return false;
    const block = this.blocks[row >>> blockShift];
    if (block === undefined) return false;
    return block.validity === null || block.validity[row & blockMask] === 1;
  }

  same(left: number, right: number): boolean {
    const leftBlock = this.blocks[left >>> blockShift]!;
    const rightBlock = this.blocks[right >>> blockShift]!;
    const leftAt = left & blockMask;
    const rightAt = right & blockMask;
    switch (this.type) {
      case 'boolean':
        return leftBlock.flags[leftAt] === rightBlock.flags[rightAt];
      case 'string':
        return Buffer.compare(textAt(leftBlock, leftAt), textAt(rightBlock, rightAt)) === 0;
      default: {
        const leftNumbers = leftBlock.numbers;
        const rightNumbers = rightBlock.numbers;
        // Mostly so, and by way of BigInts a scan of conflicts takes ten times as long. What is stored narrow has one form.
        if (!(leftNumbers instanceof BigInt64Array || rightNumbers instanceof BigInt64Array)) {
          return leftNumbers[leftAt] === rightNumbers[rightAt];
        }
        return bitsOf(leftNumbers, this.type, leftAt) === bitsOf(rightNumbers, this.type, rightAt);
      }
    }
  }

  /** Bytes of text of a row that has the field; strings only. */
  textBytesOf(row: number): number {
    const block = this.blocks[row >>> blockShift]!;
    const at = row & blockMask;
    return block.ends[at]! - (at === 0 ? 0 : block.ends[at - 1]!);
  }

  /** The text of a row that has the field, a view; strings only. */
  textOf(row: number): Uint8Array {
    return textAt(this.blocks[row >>> blockShift]!, row & blockMask);
  }

  /** The value of a row that has the field; booleans only. */
  flagOf(row: number): boolean {
    return this.blocks[row >>> blockShift]!.flags[row & blockMask] === 1;
  }

  /** The 64 bits of the value of a row that has the field; numbers only. */
  bitsOf(row: number): bigint {
    if (this.type === 'boolean' || this.type === 'string') return 0n;
    return bitsOf(this.blocks[row >>> blockShift]!.numbers, this.type, row & blockMask);
  }

  /** Writes the field's values to rows [first, first + count); rows not yet written before them stay absent. */
  append(field: FieldColumn, first: number, count: number): void {
    if (first > this.#rowCount) this.#skipTo(first);
    forEachBlock(first, count, (number, offset, rows, done) => {
      const begins = this.blocks[number] === undefined;
      const block = this.#room(number, offset + rows);
      if (begins && offset > 0) this.#markPresent(block, 0);
      const validity = field.validity?.subarray(done, done + rows) ?? null;
      const complete = validity === null || !validity.includes(0);
      if (!complete) this.#markPresent(block, offset);
      if (block.validity !== null) {
        if (validity === null) block.validity.fill(1, offset, offset + rows);
        else block.validity.set(validity, offset);
      }
      this.#copyValues(field, block, offset, rows, done);
    });
    this.#rowCount = first + count;
  }

  /** Leaves the rows from the last one written up to `row` absent. */
  #skipTo(row: number): void {
    this.#sparse = true;
    const number = this.#rowCount >>> blockShift;
    const offset = this.#rowCount & blockMask;
    this.#rowCount = row;
    if (offset === 0) return;
    const end = Math.min(row - number * blockRows, blockRows);
    const block = this.#room(number, end);
    this.#markPresent(block, offset);
    block.ends.fill(block.textBytes, offset, end);
  }

  /** Gives the block a validity column in which the rows before `offset` are present and the rest is absent. */
  #markPresent(block: ColumnBlock, offset: number): void {
    this.#sparse = true;
    if (block.validity !== null) return;
    block.validity = new Uint8Array(block.capacity);
    block.validity.fill(1, 0, offset);
    this.#bytes += block.validity.byteLength;
  }

  #copyValues(field: FieldColumn, block: ColumnBlock, offset: number, rows: number, from: number): void {
    switch (field.type) {
      case 'boolean':
        block.flags.set(field.values.subarray(from, from + rows), offset);
        return;
      case 'string':
        this.#copyText(field.values, block, offset, rows, from);
        return;
      default: {
        this.#storeNumbers(field.values.subarray(from, from + rows), field.type, block, offset);
      }
    }
  }

  #storeNumbers(given: GivenNumbers, type: NumberType, block: ColumnBlock, offset: number): void {
    const width = widthOf(block.numbers);
    const needed = width === 8 ? 8 : neededWidth(given);
    if (needed > width) {
      this.#bytes -= block.numbers.byteLength;
      block.numbers = resized(block.numbers, type, needed, block.capacity);
      this.#bytes += block.numbers.byteLength;
    }
    store(given, block.numbers, offset);
  }

  #copyText(strings: StringValues, block: ColumnBlock, offset: number, rows: number, from: number): void {
    const start = strings.offsets[from]!;
    const end = strings.offsets[from + rows]!;
    const needed = block.textBytes + end - start;
    if (needed > block.text.length) {
      this.#bytes -= block.text.byteLength;
      block.text = grow(block.text, needed);
      this.#bytes += block.text.byteLength;
    }
    block.text.set(strings.bytes.subarray(start, end), block.textBytes);
    const shift = block.textBytes - start;
    for (let row = 1; row <= rows; row++) block.ends[offset + row - 1] = strings.offsets[from + row]! + shift;
    block.textBytes = needed;
  }

  /** The block, with room for `rows` rows. */
  #room(number: number, rows: number): ColumnBlock {
    let block = this.blocks[number];
    if (block === undefined) {
      block = emptyBlock();
      this.blocks[number] = block;
    }
    if (block.capacity >= rows) return block;
    block.capacity = blockCapacity(number, rows);
    this.#bytes -= rowBytes(block);
    if (this.type === 'boolean') block.flags = resize(block.flags, block.capacity);
    else if (this.type === 'string') block.ends = resize(block.ends, block.capacity);
    else block.numbers = resized(block.numbers, this.type, widthOf(block.numbers), block.capacity);
    if (block.validity !== null) block.validity = resize(block.validity, block.capacity);
    this.#bytes += rowBytes(block);
    return block;
  }
}

function emptyBlock(): ColumnBlock {
  return {
    capacity: 0,
    numbers: noNumbers,
    flags: noBytes,
    ends: noEnds,
    text: noBytes,
    textBytes: 0,
    validity: null,
  };
}

const noBytes = new Uint8Array(0);
const noEnds = new Uint32Array(0);

/** Bytes of the arrays that grow with the rows of a block. */
function rowBytes({ numbers, flags, ends, validity }: ColumnBlock): number {
  return numbers.byteLength + flags.byteLength + ends.byteLength + (validity?.byteLength ?? 0);
}

function textAt(block: ColumnBlock, at: number): Uint8Array {
  return block.text.subarray(at === 0 ? 0 : block.ends[at - 1]!, block.ends[at]!);
}
