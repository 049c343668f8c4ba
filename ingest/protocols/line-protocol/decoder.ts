import type { TableSchema } from '../../../core/model/schema.js';
import type { DecodedTable, WriteLimits } from '../../write-contract.js';
import { hash, newline, readSlackBytes, space, tab } from './bytes.js';
import { DecodeLoop, lineTooLong } from './decode-loop.js';
import { KernelRows } from './kernel/kernel-rows.js';
import type { LineKernel } from './kernel/line-kernel.js';
import { LineEndFinder } from './line-end.js';
import type { TimePrecision } from './precision.js';
import { type RejectedLine, Rejections } from './rejections.js';
import { RequestTables } from './request-tables.js';
import { RowMemory, type ScratchPool } from './row-memory.js';
import type { SeriesInternerSlot } from './series-interner.js';
import { TimestampReader } from './timestamp.js';

/** What line-protocol decoding keeps from request to request; one a thread. */
export interface LineProtocolCaches {
  readonly interners: SeriesInternerSlot;
  readonly scratch: ScratchPool;
}

export interface LineProtocolLimits extends WriteLimits {
  /** Longest line; default 1 MiB. */
  readonly lineBytesMax?: number;
  /** Memory that the rows of one request may take as columns; default 512 MiB. */
  readonly rowBytesMax?: number;
  /** Rejected lines that are kept with their text; all are counted. Default 100. */
  readonly rejectedDetailsMax?: number;
}

export interface LineProtocolOptions {
  /** The table's columns as known now; asked once a table and request. */
  readonly schemaOf: (table: string) => TableSchema | undefined;
  readonly precision: TimePrecision;
  /** Time of lines that have none. */
  readonly nowNs: bigint;
  readonly caches: LineProtocolCaches;
  readonly limits: LineProtocolLimits;
}

/** What a request decoded to. */
export interface DecodedWrite {
  /** In order of appearance; rows in order of their lines. */
  readonly tables: readonly DecodedTable[];
  /** The first rejected lines, in order. */
  readonly rejected: readonly RejectedLine[];
  /** All rejected lines. */
  readonly rejectedCount: number;
  /** Lines that are neither blank nor comments: rows and rejected ones. */
  readonly lineCount: number;
}

const defaultLineBytesMax = 1 << 20;
const defaultRowBytesMax = 512 << 20;
const defaultRejectedDetailsMax = 100;
const firstBufferBytes = 1 << 16;

/**
 * Decodes the line protocol of one request, given piece by piece. The result does not depend on where the pieces
 * are cut. A bad line is rejected alone; `push` throws `too-large` only where the request as a whole is past
 * `rowBytesMax`. See docs/line-protocol.md for the grammar.
 */
export class LineProtocolDecoder {
  readonly #loop: DecodeLoop;
  readonly #kernel: LineKernel | undefined;
  readonly #kernelRows: KernelRows | undefined;
  readonly #tables: RequestTables;
  readonly #rejections: Rejections;
  readonly #lineBytesMax: number;
  readonly #caches: LineProtocolCaches;
  /** Input not decoded yet is bytes [0, #filled), always the beginning of a line. */
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #filled = 0;
  /** Nothing is tried before this much input is there: keeps the work linear when a line comes in many pieces. */
  #decodeAt = firstBufferBytes - readSlackBytes;
  /** What is being thrown away: nothing, the rest of a line that is too long, or the rest of a comment. */
  #skipping: 'nothing' | 'line' | 'comment' = 'nothing';
  readonly #skippedLine = new LineEndFinder();

  constructor(options: LineProtocolOptions) {
    const { caches, limits } = options;
    this.#caches = caches;
    this.#lineBytesMax = limits.lineBytesMax ?? defaultLineBytesMax;
    const interner = caches.interners.current();
    const memory = new RowMemory(caches.scratch, limits.rowBytesMax ?? defaultRowBytesMax);
    this.#rejections = new Rejections(limits.rejectedDetailsMax ?? defaultRejectedDetailsMax);
    this.#tables = new RequestTables(interner, options.schemaOf, limits, memory);
    this.#kernel = interner.kernel;
    this.#kernelRows =
      this.#kernel === undefined
        ? undefined
        : new KernelRows({
            kernel: this.#kernel,
            tables: this.#tables,
            precision: options.precision,
            lineBytesMax: this.#lineBytesMax,
          });
    this.#loop = new DecodeLoop({
      interner,
      tables: this.#tables,
      kernelRows: this.#kernelRows,
      timestamps: new TimestampReader(options.precision),
      rejections: this.#rejections,
      nowLow: Number(BigInt.asIntN(32, options.nowNs)),
      nowHigh: Number(BigInt.asIntN(32, options.nowNs >> 32n)),
      lineBytesMax: this.#lineBytesMax,
    });
    this.#bytes = new Uint8Array(caches.scratch.take(firstBufferBytes));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Takes the next piece of the body; it is copied. */
  push(chunk: Uint8Array): void {
    let from = 0;
    while (from < chunk.length) {
      if (this.#skipping === 'comment') from = this.#skipComment(chunk, from);
      else if (this.#skipping === 'line') from = this.#skipLine(chunk, from);
      const length = Math.min(chunk.length - from, this.#decodeAt - this.#filled);
      this.#bytes.set(chunk.subarray(from, from + length), this.#filled);
      this.#filled += length;
      from += length;
      if (this.#filled === this.#decodeAt) this.#decode();
    }
  }

  /** Takes the end of the body and answers the rows. The decoder is of no use afterwards. */
  finish(): DecodedWrite {
    if (this.#filled > 0) {
      this.#bytes[this.#filled++] = newline;
      this.#decode();
      if (this.#filled > 0) this.#rejectRest();
    }
    this.#caches.scratch.giveBack(this.#bytes.buffer);
    return {
      tables: this.#tables.finish(),
      rejected: this.#rejections.lines,
      rejectedCount: this.#rejections.count,
      lineCount: this.#loop.lineCount,
    };
  }

  /** Takes all complete lines out of the buffer and makes room for more. */
  #decode(): void {
    const end = this.#bytes.lastIndexOf(newline, this.#filled - 1) + 1;
    let done = this.#runLoop(end);
    while (done < this.#filled && isBlank(this.#bytes[done])) done++;
    this.#bytes.copyWithin(0, done, this.#filled);
    this.#filled -= done;
    if (this.#filled > 0 && this.#bytes[0] === hash) this.#beginSkip('comment');
    else if (this.#filled > this.#lineBytesMax) this.#beginSkip('line');
    const wanted = Math.max(firstBufferBytes - readSlackBytes, this.#filled * 2);
    this.#decodeAt = wanted;
    if (wanted + readSlackBytes > this.#bytes.length) this.#growBuffer(wanted + readSlackBytes);
  }

  #runLoop(end: number): number {
    if (this.#kernel === undefined || this.#kernelRows === undefined) {
      return this.#loop.run(this.#bytes, this.#view, end);
    }
    if (end === 0) return 0;
    this.#kernel.load(this.#bytes, end);
    this.#kernelRows.begin();
    return this.#loop.run(this.#kernel.bytes, this.#kernel.view, end);
  }

  /** The line in the buffer has not ended yet and need not be kept: it is a comment or past the limit. */
  #beginSkip(what: 'line' | 'comment'): void {
    if (what === 'line') {
      const problem = lineTooLong(this.#lineBytesMax);
      this.#rejections.add(this.#loop.lineNumber, this.#bytes, 0, this.#filled, problem);
      this.#loop.lineCount++;
      this.#skippedLine.reset();
      this.#skippedLine.find(this.#bytes, 0, this.#filled);
    }
    this.#skipping = what;
    this.#filled = 0;
  }

  #skipLine(chunk: Uint8Array, from: number): number {
    const next = this.#skippedLine.find(chunk, from, chunk.length);
    if (next < 0) return chunk.length;
    this.#loop.lineNumber += this.#skippedLine.newlines;
    this.#skipping = 'nothing';
    return next;
  }

  #skipComment(chunk: Uint8Array, from: number): number {
    const end = chunk.indexOf(newline, from);
    if (end < 0) return chunk.length;
    this.#loop.lineNumber++;
    this.#skipping = 'nothing';
    return end + 1;
  }

  /** What is left at the end of the body is a line with a string that is not closed. */
  #rejectRest(): void {
    const end = this.#filled;
    const inner = this.#bytes.subarray(0, end - 1).filter((byte) => byte === newline).length;
    const swallowed = inner === 0 ? '' : `; the ${inner} lines after it were read as part of it`;
    const problem = `got a string that is not closed before the end of the request${swallowed}`;
    this.#rejections.add(this.#loop.lineNumber, this.#bytes, 0, end, problem);
    this.#loop.lineCount++;
  }

  #growBuffer(length: number): void {
    const bytes = new Uint8Array(this.#caches.scratch.take(length));
    bytes.set(this.#bytes.subarray(0, this.#filled));
    this.#caches.scratch.giveBack(this.#bytes.buffer);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}
