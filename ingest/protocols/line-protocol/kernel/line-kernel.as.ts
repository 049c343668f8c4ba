// AssemblyScript, compiled to WebAssembly with SIMD by scripts/build-kernel.mjs. Types such as u32 and usize, load and
// store, v128 and memory are the language's own.
//
// The kernel takes lines of the usual form: a series it has met, the fields of its table in the order of the table's
// template, numbers of a usual length, a time. It stops at any other line, which the TypeScript decoder then takes;
// what the kernel takes it must decode to the same bits. ADR 0008 tells why; docs/line-protocol.md the grammar.

import { carriageReturn, comma, equal, newline, space } from './bytes.as';
import { hasRoom, take } from './memory.as';
import { fillPowers, numberEnd, readNumber, readTime, takePowers } from './numbers.as';
import { add, input, keyEnd, prepare, seriesIn, spellingAt, tagSetIn } from './spellings.as';

export { add, prepare };

/** Slots for templates: as many tables are decoded here at once. */
const slotCount: u32 = 8;
/** Columns of a template. */
const columnsMax: u32 = 64;
/** Bytes of a column's prefix: its name and the `=`. */
const prefixBytesMax: u32 = 64;
/** Rows staged a slot before the caller must take them. */
const rowsMax: u32 = 256;
/** Tag sets that can be admitted. */
const tagSetsMax: u32 = 4096;

/** A column of a template: bytes of the prefix, type (0 double, 1 bigint, 2 ubigint), 8 bytes unused, the prefix. */
const columnBytes: u32 = 16 + prefixBytesMax;
/** A slot: rows staged, columns; then its columns; then by row: series, line within the run, time, values column by column. */
const slotHeadBytes: u32 = 16;
const seriesColumnIn: u32 = slotHeadBytes + columnsMax * columnBytes;
const linesIn: u32 = seriesColumnIn + rowsMax * 4;
const timesIn: u32 = linesIn + rowsMax * 4;
const valuesIn: u32 = timesIn + rowsMax * 8;
const slotBytes: u32 = valuesIn + columnsMax * rowsMax * 8;

let state: usize = 0;
/** By tag set: the generation that admitted it, and its slot. */
let tagSets: usize = 0;
let slots: usize = 0;

/** Lays out the memory; answers the address of the four words that `run` and `find` set, or 0 when there is too little. */
export function init(): usize {
  state = take(64);
  takePowers();
  tagSets = take(tagSetsMax * 8);
  slots = take(slotCount * slotBytes);
  if (!hasRoom(0)) return 0;
  fillPowers();
  return state;
}

/** The address of a slot. */
export function slotAt(slot: u32): usize {
  return slots + slot * slotBytes;
}

/** Lets the kernel take lines of the tag set, as rows of the slot, while `run` is given the generation. */
export function admit(tagSet: u32, generation: u32, slot: u32): void {
  if (tagSet >= tagSetsMax) return;
  store<u32>(tagSets + tagSet * 8, generation);
  store<u32>(tagSets + tagSet * 8, slot, 4);
}

/** The spelling at the place of the input, or 0; the first word of the state tells where it ends. */
export function find(at: u32, previous: u32): u32 {
  const spelling = spellingAt(input + at, previous);
  store<u32>(state, <u32>(keyEnd - input));
  return spelling;
}

function startsWith(at: usize, prefix: usize, length: u32): bool {
  if (length <= 16) {
    const same = i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(prefix)));
    return (~same & ((1 << length) - 1)) == 0;
  }
  return equal(at, prefix, length);
}

/** Decodes the line at the address, whose first section ends at `at`, into the slot's next row; where the next line begins, or 0. */
function takeLine(at: usize, slot: usize, unitNs: u64): usize {
  const row = load<u32>(slot);
  const columns = load<u32>(slot, 4);
  while (load<u8>(at) == space) at++;
  let values = slot + valuesIn + row * 8;
  let column = slot + slotHeadBytes;
  for (let left = columns; ; ) {
    const length = load<u32>(column);
    if (!startsWith(at, column + 16, length)) return 0;
    if (!readNumber(at + length, load<u32>(column, 4), values)) return 0;
    at = numberEnd;
    const byte: u32 = load<u8>(at);
    if (--left == 0) {
      if (byte != space) return 0;
      break;
    }
    if (byte != comma) return 0;
    at++;
    values += rowsMax * 8;
    column += columnBytes;
  }
  while (load<u8>(at) == space) at++;
  if (!readTime(at, unitNs, slot + timesIn + row * 8)) return 0;
  at = numberEnd;
  while (load<u8>(at) == space) at++;
  if (load<u8>(at) == carriageReturn) at++;
  return load<u8>(at) == newline ? at + 1 : 0;
}

/**
 * Takes lines from place `at` of the input on, up to `end`, where one ends, or to the first it does not take, or until a
 * slot is full. The state then holds: where it stopped, lines taken, the last spelling, whether a slot is full.
 */
export function run(at: u32, end: u32, previous: u32, generation: u32, unitNs: u64, lineBytesMax: u32): void {
  const last = input + end;
  let next = input + at;
  let lines: u32 = 0;
  let full: u32 = 0;
  while (next < last) {
    const spelling = spellingAt(next, previous);
    if (spelling == 0) break;
    const tagSet = load<u32>(spelling, tagSetIn);
    if (tagSet >= tagSetsMax || load<u32>(tagSets + tagSet * 8) != generation) break;
    const slot = slots + load<u32>(tagSets + tagSet * 8, 4) * slotBytes;
    const row = load<u32>(slot);
    if (row == rowsMax) {
      full = 1;
      break;
    }
    const line = takeLine(keyEnd, slot, unitNs);
    if (line == 0 || line - next > lineBytesMax) break;
    store<u32>(slot + seriesColumnIn + row * 4, load<u32>(spelling, seriesIn));
    store<u32>(slot + linesIn + row * 4, lines);
    store<u32>(slot, row + 1);
    lines++;
    previous = spelling;
    next = line;
  }
  store<u32>(state, <u32>(next - input));
  store<u32>(state, lines, 4);
  store<u32>(state, previous, 8);
  store<u32>(state, full, 12);
}
