import duckdb from '@duckdb/node-bindings';

/** Texts up to so many bytes stand in the vector itself. */
export const inlineBytesMax = 12;

/** Words a row: 4 bytes of length, 4 of prefix, 8 of pointer. */
const rowWords = 4;
const rowBytes = 16;
const pointerWord = 2;
/**
 * Texts that lie no further apart are read as one piece. What lies between them is never looked at, and can be read:
 * it is less than a page of memory, and both pages that it can lie on hold a text.
 */
const gapBytesMax = 64;
/** Bytes of a piece, unless one text is longer. */
const pieceBytesMax = 2 ** 20;

/**
 * The texts of a vector that are too long to stand in it. Asking the engine for each costs far more than the text; it
 * mostly lays them one behind the other, so one piece of its memory holds them all.
 */
export class LongTexts {
  readonly #vector: Buffer;
  readonly #words: Int32Array;
  #piece: Buffer = Buffer.alloc(0);
  /** Where the piece lies in the engine's memory. */
  #pieceAddress = 0;
  #at = 0;
  #length = 0;
  #before: Uint8Array = this.#piece;
  #beforeAt = 0;
  #beforeLength = -1;

  /**
   * @param vector the memory of a vector of strings, which must stay as long as this is used
   * @param words the same as 32-bit numbers
   */
  constructor(vector: Buffer, words: Int32Array) {
    this.#vector = vector;
    this.#words = words;
  }

  /** Goes to the text of a row, which must be a long one, past earlier rows. */
  moveTo(row: number, validity: Uint8Array | null): void {
    this.#before = this.#piece;
    this.#beforeAt = this.#at;
    this.#beforeLength = this.#length === 0 ? -1 : this.#length;
    const address = this.#addressOf(row);
    const length = this.#words[row * rowWords] ?? 0;
    const isInPiece =
      address >= this.#pieceAddress && address + length <= this.#pieceAddress + this.#piece.length;
    if (!isInPiece) this.#readFrom(row, address, length, validity);
    this.#at = address - this.#pieceAddress;
    this.#length = length;
  }

  /** Whether the text is the same as the one before it, byte for byte. */
  isAsBefore(): boolean {
    if (this.#length !== this.#beforeLength) return false;
    const left = this.#piece;
    const right = this.#before;
    for (let byte = 0; byte < this.#length; byte++) {
      if (left[this.#at + byte] !== right[this.#beforeAt + byte]) return false;
    }
    return true;
  }

  text(): string {
    return this.#piece.toString('utf8', this.#at, this.#at + this.#length);
  }

  /** Reads the text and those of later rows that lie right behind it. */
  #readFrom(first: number, address: number, length: number, validity: Uint8Array | null): void {
    let end = address + length;
    const rowCount = this.#words.length / rowWords;
    for (let row = first + 1; row < rowCount; row++) {
      if (validity !== null && ((validity[row >> 3] ?? 0) & (1 << (row & 7))) === 0) continue;
      const rowLength = this.#words[row * rowWords] ?? 0;
      if (rowLength <= inlineBytesMax) continue;
      const next = this.#addressOf(row);
      if (next >= address && next + rowLength <= end) continue;
      if (next < end || next - end > gapBytesMax || next + rowLength - address > pieceBytesMax) break;
      end = next + rowLength;
    }
    const pointerAt = this.#vector.byteOffset + first * rowBytes + pointerWord * 4;
    const piece = duckdb.get_data_from_pointer(this.#vector.buffer as ArrayBuffer, pointerAt, end - address);
    this.#piece = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#pieceAddress = address;
  }

  /** Addresses have 48 bits, which a double holds. */
  #addressOf(row: number): number {
    const at = row * rowWords + pointerWord;
    return (this.#words[at + 1] ?? 0) * 2 ** 32 + ((this.#words[at] ?? 0) >>> 0);
  }
}
