import type { DataFile } from '../../core/iceberg/types.js';
import { boxAround, type FileBox, mayShare } from './file-overlap.js';
import { overlapComponents } from './overlap-components.js';

/** Why files are merged: see docs/compaction.md. */
export type MergeReason = 'tier' | 'overlap' | 'finished';

/** Files that become fewer: their points stay the same, each once. */
export interface MergePlan {
  readonly reason: MergeReason;
  readonly inputs: readonly DataFile[];
  /** The data sequence number that the outputs take: the highest of the inputs'. */
  readonly sequence: number;
  /** Days that get a file of their own; rows of other days go into a spanning file. */
  readonly days: readonly number[];
}

export interface MergeSettings {
  /** Files of about one size that are merged into one: bounds how often a point is written again (log of fan-in). */
  readonly fanIn: number;
  /** Files below this are of the lowest tier. */
  readonly tierBytesMin: number;
  /** What merging aims at; a file of half of it is left alone. */
  readonly targetBytes: number;
  readonly targetRows: number;
  /** Limits of one merge: they bound its memory. */
  readonly inputsMax: number;
  readonly inputBytesMax: number;
  readonly inputRowsMax: number;
  /** Overlaps and finished days are merged once the newest file concerned is this old. */
  readonly quietMs: number;
  /** A day is finished this long after its end. */
  readonly dayDelayMs: number;
}

/** Files of up to 128 MiB, eight to one; overlaps and days are merged after an hour of quiet. */
export const defaultMergeSettings: MergeSettings = {
  fanIn: 8,
  tierBytesMin: 2 ** 20,
  targetBytes: 128 * 2 ** 20,
  targetRows: 4_000_000,
  inputsMax: 12,
  inputBytesMax: 192 * 2 ** 20,
  inputRowsMax: 12_000_000,
  quietMs: 3_600_000,
  dayDelayMs: 3_600_000,
};

export interface MergeContext {
  readonly nowMs: number;
  readonly tagFieldIds: readonly number[];
  /** When the snapshot with this sequence number was made; undefined for one that is no longer kept, so old. */
  readonly madeMs: (sequence: number) => number | undefined;
  /** True when a caller asked: nothing waits for quiet, and every day counts as finished. */
  readonly now: boolean;
}

const msPerDay = 86_400_000;

/**
 * Plans merges of a table's live files. Pure. No two plans share a file, and carrying them out in order is sound.
 *
 * A merged file takes the highest sequence of its inputs, so a value of an older input comes to outrank every file
 * whose sequence is between. Therefore (invariant 3): a plan is made only if no file outside it that may share a
 * point with a member has a sequence above that member's and up to the plan's.
 */
export function planMerges(
  files: readonly DataFile[],
  context: MergeContext,
  settings: MergeSettings = defaultMergeSettings,
): MergePlan[] {
  const planner = new Planner(files, context, settings);
  // What ends in its last form first, so that it is not written in between.
  planner.planOverlaps();
  planner.planFinished();
  planner.planTiers();
  return planner.plans;
}

class Planner {
  readonly plans: MergePlan[] = [];
  readonly #context: MergeContext;
  readonly #settings: MergeSettings;
  readonly #free: Set<DataFile>;
  /** Every file as it will be once the plans so far are carried out; outputs as boxes. */
  readonly #present: Set<FileBox>;

  constructor(files: readonly DataFile[], context: MergeContext, settings: MergeSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#free = new Set(files);
    this.#present = new Set<FileBox>(files);
  }

  /** Many files of about one size in one partition. */
  planTiers(): void {
    for (const partition of partitionsOf(this.#free).values()) {
      for (const tier of this.#tiersOf(partition)) {
        for (let from = 0; from + this.#settings.fanIn <= tier.length; from += this.#settings.fanIn) {
          const candidate = tier.slice(from, from + this.#settings.fanIn);
          this.#planClosedPart('tier', candidate, Math.ceil(this.#settings.fanIn / 2));
        }
      }
    }
  }

  /** Files that may hold the same point, so that whoever reads all files sees each point once. */
  planOverlaps(): void {
    for (const component of overlapComponents([...this.#free], this.#context.tagFieldIds)) {
      if (!this.#isQuiet(component)) continue;
      if (this.#fits(component, this.#settings.inputBytesMax, this.#settings.inputRowsMax)) {
        this.#planClosedPart('overlap', component, 2);
        continue;
      }
      for (const partition of partitionsOf(component).values()) {
        for (const part of overlapComponents(partition, this.#context.tagFieldIds)) {
          if (this.#fits(part, this.#settings.inputBytesMax, this.#settings.inputRowsMax)) {
            this.#planClosedPart('overlap', part, 2);
          }
        }
      }
    }
  }

  /** The small files of days that are over, and spanning files, up to the target size. */
  planFinished(): void {
    for (const [day, partition] of partitionsOf(this.#free)) {
      if (!this.#isFinished(day)) continue;
      const small = partition.filter((file) => this.#isSmall(file)).sort(bySequence);
      for (const bin of this.#binsOf(small)) {
        if (bin.length >= 2 && this.#isQuiet(bin)) this.#planClosedPart('finished', bin, 2);
      }
    }
  }

  #tiersOf(partition: readonly DataFile[]): DataFile[][] {
    const tiers = new Map<number, DataFile[]>();
    for (const file of partition) {
      if (!this.#isSmall(file)) continue;
      const ratio = file.bytes / this.#settings.tierBytesMin;
      const tier = ratio < 1 ? 0 : 1 + Math.floor(Math.log(ratio) / Math.log(this.#settings.fanIn));
      const files = tiers.get(tier);
      if (files === undefined) tiers.set(tier, [file]);
      else files.push(file);
    }
    return [...tiers.values()].map((files) => files.sort(bySequence));
  }

  #binsOf(files: readonly DataFile[]): DataFile[][] {
    const { targetBytes, targetRows } = this.#settings;
    const bins: DataFile[][] = [];
    let bin: DataFile[] = [];
    for (const file of files) {
      if (bin.length > 0 && !this.#fits([...bin, file], targetBytes, targetRows)) {
        bins.push(bin);
        bin = [];
      }
      bin.push(file);
    }
    bins.push(bin);
    return bins;
  }

  /** Plans the longest part of the candidate, in order of sequence, that is closed in precedence. */
  #planClosedPart(reason: MergeReason, candidate: readonly DataFile[], lengthMin: number): void {
    const files = candidate.filter((file) => this.#free.has(file)).sort(bySequence);
    for (let length = files.length; length >= Math.max(2, lengthMin); length--) {
      for (let from = 0; from + length <= files.length; from++) {
        const inputs = files.slice(from, from + length);
        if (!this.#isClosed(inputs)) continue;
        this.#take(reason, inputs);
        return;
      }
    }
  }

  #isClosed(inputs: readonly DataFile[]): boolean {
    const members = new Set<FileBox>(inputs);
    const lowest = inputs[0]?.sequence ?? 0;
    const highest = inputs.at(-1)?.sequence ?? 0;
    for (const outside of this.#present) {
      if (outside.sequence <= lowest || outside.sequence > highest || members.has(outside)) continue;
      for (const member of inputs) {
        const isOutranked = member.sequence < outside.sequence;
        if (isOutranked && mayShare(member, outside, this.#context.tagFieldIds)) return false;
      }
    }
    return true;
  }

  #take(reason: MergeReason, inputs: readonly DataFile[]): void {
    const days = new Set<number>();
    for (const file of inputs) {
      if (file.day !== null) days.add(file.day);
      this.#free.delete(file);
      this.#present.delete(file);
    }
    const box = boxAround(inputs, this.#context.tagFieldIds);
    this.#present.add(box);
    const sortedDays = [...days].sort((left, right) => left - right);
    this.plans.push({ reason, inputs, sequence: box.sequence, days: sortedDays });
  }

  #fits(files: readonly DataFile[], bytesMax: number, rowsMax: number): boolean {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    return files.length <= this.#settings.inputsMax && bytes <= bytesMax && rows <= rowsMax;
  }

  #isSmall(file: DataFile): boolean {
    return file.bytes < this.#settings.targetBytes / 2 && file.rows < this.#settings.targetRows / 2;
  }

  #isQuiet(files: readonly DataFile[]): boolean {
    if (this.#context.now) return true;
    const newest = Math.max(...files.map((file) => file.sequence));
    const madeMs = this.#context.madeMs(newest);
    return madeMs === undefined || this.#context.nowMs - madeMs >= this.#settings.quietMs;
  }

  #isFinished(day: number | null): boolean {
    if (day === null || this.#context.now) return true;
    return (day + 1) * msPerDay + this.#settings.dayDelayMs <= this.#context.nowMs;
  }
}

function partitionsOf(files: Iterable<DataFile>): Map<number | null, DataFile[]> {
  const partitions = new Map<number | null, DataFile[]>();
  for (const file of files) {
    const partition = partitions.get(file.day);
    if (partition === undefined) partitions.set(file.day, [file]);
    else partition.push(file);
  }
  return partitions;
}

function bySequence(left: DataFile, right: DataFile): number {
  return left.sequence - right.sequence || (left.contentHash < right.contentHash ? -1 : 1);
}
