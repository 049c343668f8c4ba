// Part of the kernel, see line-kernel.as.ts: the input, and the spellings known. A spelling is the first section of a
// line byte for byte; its number is the address of its record: length, hash, the spelling that followed last time, tag
// set, series, the bytes.

import { backslash, equal, space } from './bytes.as';
import { hasRoom, take } from './memory.as';

/** Where a record has its tag set, and its series. */
export const tagSetIn: usize = 12;
/** See tagSetIn. */
export const seriesIn: usize = 16;
const recordHeadBytes: u32 = 20;
/** Keys are compared 16 bytes at a time, beyond their ends. */
const slackBytes: u32 = 64;
const arenaBytes: u32 = 1 << 20;

/** Where the input is. */
export let input: usize = 0;
/** Where the spelling that was looked for ends. */
export let keyEnd: usize = 0;
let inputBytes: u32 = 0;
/** Spellings by hash, open addressing, at most half full. */
let table: usize = 0;
let tableMask: u32 = 0;
let spellingCount: u32 = 0;
let arena: usize = 0;
let arenaEnd: usize = 0;

/** Makes room for so much input of so many lines and the keys it may bring, so that memory stays where it is; its address, or 0. */
export function prepare(bytes: u32, lines: u32): usize {
  let inputWanted = max<u32>(inputBytes, 1 << 16);
  while (inputWanted < bytes + slackBytes) inputWanted <<= 1;
  const slotsHeld: u32 = table == 0 ? 0 : tableMask + 1;
  let slotsWanted = max<u32>(slotsHeld, 1 << 15);
  while (slotsWanted < (spellingCount + lines) * 2) slotsWanted <<= 1;
  const keyBytesMax = bytes + lines * (recordHeadBytes + slackBytes) + 2 * arenaBytes;
  if (!hasRoom(inputWanted + slotsWanted * 4 + keyBytesMax)) return 0;
  if (inputWanted > inputBytes) {
    inputBytes = inputWanted;
    input = take(inputBytes);
  }
  if (slotsWanted > slotsHeld) growTable(slotsHeld, slotsWanted);
  return input;
}

function growTable(slotsHeld: u32, slotsWanted: u32): void {
  const from = table;
  table = take(<usize>slotsWanted * 4);
  tableMask = slotsWanted - 1;
  memory.fill(table, 0, <usize>slotsWanted * 4);
  for (let at: u32 = 0; at < slotsHeld; at++) place(load<u32>(from + at * 4));
}

function place(record: u32): void {
  if (record == 0) return;
  let at = load<u32>(record, 4) & tableMask;
  while (load<u32>(table + at * 4) != 0) at = (at + 1) & tableMask;
  store<u32>(table + at * 4, record);
}

function hashOf(at: usize, length: u32): u32 {
  let hash: u64 = length;
  const whole = at + (length & ~7);
  for (; at < whole; at += 8) {
    hash = (hash ^ load<u64>(at)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  const rest = (length & 7) * 8;
  if (rest != 0) hash = (hash ^ (load<u64>(at) & (((<u64>1) << rest) - 1))) * 0x9e3779b97f4a7c15;
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9;
  return <u32>(hash >> 32);
}

/** The address of the first space that no backslash stands before, or of a newline before it. */
function endOfKey(at: usize): usize {
  while (true) {
    const block = v128.load(at);
    const stops = i8x16.bitmask(
      v128.or(i8x16.eq(block, i8x16.splat(0x20)), i8x16.eq(block, i8x16.splat(0x0a))),
    );
    for (let rest = stops; rest != 0; rest &= rest - 1) {
      const found = at + ctz<u32>(rest);
      if (load<u8>(found) != space || load<u8>(found - 1) != backslash) return found;
    }
    at += 16;
  }
}

/** The spelling at an address: the one that followed `previous` last time, else by hash; 0 when it is not known. */
export function spellingAt(at: usize, previous: u32): u32 {
  if (previous != 0) {
    const expected = load<u32>(previous, 8);
    if (expected != 0) {
      const length = load<u32>(expected);
      // What is remembered never ends in a backslash, so the space that follows is an unescaped one.
      if (load<u8>(at + length) == space && equal(at, expected + recordHeadBytes, length)) {
        keyEnd = at + length;
        return expected;
      }
    }
  }
  const end = endOfKey(at);
  keyEnd = end;
  if (load<u8>(end) != space) return 0;
  const length = <u32>(end - at);
  const hash = hashOf(at, length);
  let slot = hash & tableMask;
  let record = load<u32>(table + slot * 4);
  while (
    record != 0 &&
    (load<u32>(record, 4) != hash ||
      load<u32>(record) != length ||
      !equal(at, record + recordHeadBytes, length))
  ) {
    slot = (slot + 1) & tableMask;
    record = load<u32>(table + slot * 4);
  }
  if (record != 0 && previous != 0) store<u32>(previous, record, 8);
  return record;
}

/** Adds the spelling of `length` bytes at the place of the input, which is not known; answers it. */
export function add(at: u32, length: u32, previous: u32, tagSet: u32, series: u32): u32 {
  const bytes = (recordHeadBytes + length + slackBytes) & ~3;
  if (arena + bytes > arenaEnd) {
    const segment = max<u32>(arenaBytes, bytes);
    arena = take(segment);
    arenaEnd = arena + segment;
  }
  const record = <u32>arena;
  // The slack may be the next record's: what is compared beyond the end is masked.
  arena += (recordHeadBytes + length + 3) & ~3;
  store<u32>(record, length);
  store<u32>(record, hashOf(input + at, length), 4);
  store<u32>(record, 0, 8);
  store<u32>(record, tagSet, 12);
  store<u32>(record, series, 16);
  memory.copy(record + recordHeadBytes, input + at, length);
  place(record);
  spellingCount++;
  if (previous != 0) store<u32>(previous, record, 8);
  return record;
}
