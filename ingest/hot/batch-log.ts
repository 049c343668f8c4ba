import { createHash, type Hash } from 'node:crypto';
import type { SequenceRange } from '../../core/catalog/types.js';
import type { Batch, BatchId, NodeId } from '../../core/model/batch.js';
import { batchIdText, compareBatchPrecedence } from '../../core/model/batch.js';
import type { BatchLeaf } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import { grow } from './growing-array.js';
import { RangeSet } from './range-set.js';

const hashBytes = 16;
/** Sequences a span of the digest tree; only spans that took a batch since the last digest are hashed again. */
const spanSequences = 1024;

/** Batches of one origin and epoch: which there are, and the lowest level of the digest tree over them. */
interface Source {
  readonly origin: NodeId;
  readonly epoch: number;
  readonly sequences: RangeSet;
  readonly spans: Map<number, Span>;
}

interface Span {
  /** Numbers of batches in the log, in the order they came. */
  batches: Int32Array;
  count: number;
  digest: Uint8Array | null;
}

/**
 * The batches that a shard holds, numbered in the order they came: ids, stamps and hashes; not their rows.
 *
 * Keeps the digest of the shard: a SHA-256 tree shard → origin and epoch → span of 1,024 sequences → batch, where a
 * batch stands as its sequence and the hash of its bytes. A node of the tree hashes its children in ascending order,
 * so the order of arrival leaves no trace: equal digests, equal batches. A sum of leaf hashes would be shorter to
 * write, but could not be walked to find the branch that differs, and would rest on more than SHA-256.
 */
export class BatchLog {
  readonly #sources: Source[] = [];
  readonly #sourceByName = new Map<string, number>();
  #stamps = new BigInt64Array(4);
  #sequences = new Float64Array(4);
  #sourceOf = new Int32Array(4);
  #hashes = new Uint8Array(4 * hashBytes);
  #count = 0;
  #ascending = true;
  #treeBytes = 0;
  #digest: Uint8Array | null = null;

  get count(): number {
    return this.#count;
  }

  /** True while every batch that came had higher precedence than those before it. */
  get ascending(): boolean {
    return this.#ascending;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return (
      this.#treeBytes +
      this.#stamps.byteLength +
      this.#sequences.byteLength +
      this.#sourceOf.byteLength +
      this.#hashes.byteLength
    );
  }

  /** Whether the batch is in. `corrupt` when a batch of that id but other bytes is: ids name batches for ever. */
  has(id: BatchId, hash: Uint8Array): boolean {
    const number = this.#sourceByName.get(sourceName(id));
    const source = number === undefined ? undefined : this.#sources[number];
    if (source === undefined || !source.sequences.has(id.sequence)) return false;
    const span = source.spans.get(Math.floor(id.sequence / spanSequences));
    const known = span?.batches
      .subarray(0, span.count)
      .find((batch) => this.#sequences[batch] === id.sequence);
    if (known !== undefined && Buffer.compare(this.#hashOf(known), hash) !== 0) {
      throw new VarveError(
        'corrupt',
        `applying batch ${batchIdText(id)}: got hash ${hex(hash)}; want ${hex(this.#hashOf(known))} as of the batch held under that id`,
      );
    }
    return true;
  }

  /** Adds a batch that is not in; returns its number. */
  add(batch: Pick<Batch, 'id' | 'stamp'>, hash: Uint8Array): number {
    const number = this.#count;
    if (number === this.#sequences.length) this.#grow();
    const source = this.#source(batch.id);
    this.#stamps[number] = batch.stamp;
    this.#sequences[number] = batch.id.sequence;
    this.#sourceOf[number] = source;
    this.#hashes.set(hash.subarray(0, hashBytes), number * hashBytes);
    this.#count += 1;
    if (number > 0 && this.#ascending) this.#ascending = this.comparePrecedence(number - 1, number) < 0;
    this.#addToTree(this.#sources[source]!, batch.id.sequence, number);
    return number;
  }

  /** Order of precedence of two batches by number; negative when left is older. */
  comparePrecedence(left: number, right: number): number {
    if (left === right) return 0;
    return compareBatchPrecedence(
      { stamp: this.#stamps[left]!, id: this.#idOf(left) },
      { stamp: this.#stamps[right]!, id: this.#idOf(right) },
    );
  }

  /** The node that made the batch of the given number. */
  originOf(number: number): NodeId {
    return this.#sources[this.#sourceOf[number]!]!.origin;
  }

  /** Ranges of the sequences held, by origin and epoch in the order they came. */
  *ranges(): Generator<SequenceRange> {
    for (const { origin, epoch, sequences } of this.#sources) {
      for (const { first, last } of sequences.ranges()) yield { origin, epoch, first, last };
    }
  }

  /** Ids and hashes of all batches, in the order they came. */
  leaves(): BatchLeaf[] {
    return Array.from({ length: this.#count }, (_, number) => ({
      id: this.#idOf(number),
      hash: this.#hashOf(number).slice(),
    }));
  }

  /** Root of the shard's digest tree, 32 bytes. */
  digest(): Uint8Array {
    if (this.#digest !== null) return this.#digest;
    const hash = createHash('sha256').update('varve shard\n');
    const sources = this.#sources.toSorted(
      (left, right) =>
        (left.origin < right.origin ? -1 : left.origin > right.origin ? 1 : 0) || left.epoch - right.epoch,
    );
    for (const source of sources) {
      hash.update(`${source.origin} ${source.epoch}\n`).update(this.#sourceDigest(source));
    }
    this.#digest = hash.digest();
    return this.#digest;
  }

  #sourceDigest(source: Source): Uint8Array {
    const hash = createHash('sha256').update('varve origin\n');
    for (const [number, span] of [...source.spans].sort(([left], [right]) => left - right)) {
      updateNumber(hash, number);
      span.digest ??= this.#spanDigest(span);
      hash.update(span.digest);
    }
    return hash.digest();
  }

  #spanDigest(span: Span): Uint8Array {
    const hash = createHash('sha256').update('varve span\n');
    const batches = span.batches.slice(0, span.count);
    batches.sort((left, right) => this.#sequences[left]! - this.#sequences[right]!);
    for (const batch of batches) {
      updateNumber(hash, this.#sequences[batch]!);
      hash.update(this.#hashOf(batch));
    }
    return hash.digest();
  }

  #addToTree(source: Source, sequence: number, number: number): void {
    const { sequences, spans } = source;
    this.#treeBytes -= sequences.bytes;
    sequences.add(sequence);
    this.#treeBytes += sequences.bytes;
    const spanNumber = Math.floor(sequence / spanSequences);
    let span = spans.get(spanNumber);
    if (span === undefined) {
      span = { batches: new Int32Array(0), count: 0, digest: null };
      spans.set(spanNumber, span);
    }
    if (span.count === span.batches.length) {
      this.#treeBytes -= span.batches.byteLength;
      span.batches = grow(span.batches, 4);
      this.#treeBytes += span.batches.byteLength;
    }
    span.batches[span.count++] = number;
    span.digest = null;
    this.#digest = null;
  }

  #source(id: BatchId): number {
    const name = sourceName(id);
    const known = this.#sourceByName.get(name);
    if (known !== undefined) return known;
    const number = this.#sources.length;
    const sequences = new RangeSet();
    this.#treeBytes += sequences.bytes;
    this.#sources.push({ origin: id.origin, epoch: id.epoch, sequences, spans: new Map() });
    this.#sourceByName.set(name, number);
    return number;
  }

  #idOf(number: number): BatchId {
    const { origin, epoch } = this.#sources[this.#sourceOf[number]!]!;
    return { origin, epoch, sequence: this.#sequences[number]! };
  }

  #hashOf(number: number): Uint8Array {
    return this.#hashes.subarray(number * hashBytes, (number + 1) * hashBytes);
  }

  #grow(): void {
    const count = this.#count + 1;
    this.#stamps = grow(this.#stamps, count);
    this.#sequences = grow(this.#sequences, count);
    this.#sourceOf = grow(this.#sourceOf, count);
    this.#hashes = grow(this.#hashes, count * hashBytes);
  }
}

/** Hex digest of a group: a hash over its shards' digests in ascending order of shard. Shards without batches must be left out. */
export function groupDigest(shards: Iterable<readonly [shard: number, log: BatchLog]>): string {
  const hash = createHash('sha256').update('varve group\n');
  for (const [shard, log] of [...shards].sort(([left], [right]) => left - right)) {
    updateNumber(hash, shard);
    hash.update(log.digest());
  }
  return hash.digest('hex');
}

function sourceName(id: BatchId): string {
  return `${id.epoch} ${id.origin}`;
}

function updateNumber(hash: Hash, value: number): void {
  hash.update(Float64Array.of(value));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
