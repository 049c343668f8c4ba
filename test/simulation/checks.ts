import { compareGroupPrecedence } from '../../core/catalog/group-precedence.js';
import type { ConsistencyLevel, SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import { batchIdText, compareBatchPrecedence } from '../../core/model/batch.js';
import { type CatalogWatch, Violation } from './catalog-watch.js';
import { foldBatches, type KnownBatch, type Ledger, pointName, type WriteAttempt } from './ledger.js';
import type { Answer, AnswerPoints } from './querier-member.js';

/** What the checks know of the truth. */
export interface Truth {
  readonly ledger: Ledger;
  readonly watch: CatalogWatch;
  /**
   * Clocks may differ by more than they are promised to: rows may then be filed as late while their window is open, and
   * the order in which groups close is not the order of writing.
   */
  readonly clocksAreWrong: boolean;
  /** Levels whose writes are in history in the end. */
  readonly keptLevels: readonly ConsistencyLevel[];
}

/**
 * What an answer that began at `startMs` must hold: no point twice, no value that nobody wrote there, and every point
 * acknowledged before at one of `levels`, with its value or one that wins over it (invariants 2 and 3).
 */
export function checkAnswer(
  name: string,
  table: string,
  answer: Pick<Answer, 'points' | 'doubled'>,
  startMs: number,
  levels: readonly ConsistencyLevel[],
  truth: Truth,
): void {
  if (answer.doubled.length > 0) throw new Violation(`${name} holds ${answer.doubled[0]} twice`);
  checkKnown(name, table, answer.points, truth);
  for (const attempt of truth.ledger.attempts) {
    if (attempt.ackedMs === null || attempt.ackedMs >= startMs || !levels.includes(attempt.level)) continue;
    for (const row of attempt.rows) {
      if (row.table !== table) continue;
      const point = answer.points.get(pointName(table, row.point));
      for (const [field, value] of Object.entries(row.point.fields)) {
        const got = point?.[field];
        if (got !== undefined && (got === value || mayWin(got, Number(value), truth))) continue;
        throw new Violation(
          `${name} lacks value ${String(value)} of ${pointName(table, row.point)} ${field}, acknowledged by write ` +
            `${attempt.number} at ${attempt.level} in ${whereIs(Number(value), truth)}: ` +
            (got === undefined ? 'got nothing' : `got ${got}, in ${whereIs(got, truth)}`),
        );
      }
    }
  }
}

/** The batches that carry a value, for messages. */
function whereIs(value: number, { ledger, watch }: Truth): string {
  const places = ledger.batchesWith(value).map(({ batch }) => {
    const group = watch.groups.get(batch.group);
    const ms = Number(batch.stamp >> 16n);
    const state = `${group?.kind} ${group?.state}, close sequence ${group?.closeSequence}`;
    return `batch ${batchIdText(batch.id)} stamped ${ms}+${batch.stamp & 0xffffn} of ${batch.group} (${state})`;
  });
  return places.length === 0 ? 'no batch' : places.join(' and ');
}

/** Every value stands where some client wrote it. */
function checkKnown(name: string, table: string, points: AnswerPoints, { ledger }: Truth): void {
  for (const [point, fields] of points) {
    for (const [field, value] of Object.entries(fields)) {
      const isWritten = ledger
        .batchesWith(value)
        .some(({ rows }) =>
          rows.some((row) => pointName(row.table, row.point) === point && row.point.fields[field] === value),
        );
      if (!isWritten)
        throw new Violation(`${name} holds ${value} as ${point} ${field} of ${table}: nobody wrote it`);
    }
  }
}

/** Whether by the merge rule `winner` can stand where `loser` was written too. */
function mayWin(winner: number, loser: number, { ledger, watch, clocksAreWrong }: Truth): boolean {
  return ledger.batchesWith(winner).some((won) =>
    ledger.batchesWith(loser).some((lost) => {
      if (won === lost) return true;
      if (won.batch.group === lost.batch.group) return compareBatchPrecedence(won.batch, lost.batch) > 0;
      if (clocksAreWrong) return true;
      const wonGroup = watch.groups.get(won.batch.group);
      const lostGroup = watch.groups.get(lost.batch.group);
      if (wonGroup === undefined || lostGroup === undefined) return false;
      return compareGroupPrecedence(wonGroup, lostGroup) > 0;
    }),
  );
}

/**
 * What must hold once everything is settled: history is exactly the batches that the catalog names as sealed, put
 * together by the merge rule; every one of them was written by somebody; and everything that was acknowledged is
 * among them.
 */
export function checkHistory(history: ReadonlyMap<string, AnswerPoints>, truth: Truth): void {
  const sealed = sealedBatches(truth);
  const want = foldBatches(sealed);
  for (const [table, points] of history) {
    const wanted = [...want].filter(([point]) => point.startsWith(`${table} `));
    for (const [point, fields] of wanted) {
      const got = points.get(point);
      if (sameValues(got, fields)) continue;
      throw new Violation(`history: ${point} is ${shown(got)}; the sealed batches make it ${shown(fields)}`);
    }
    const extra = [...points.keys()].find((point) => !want.has(point));
    if (extra !== undefined) throw new Violation(`history holds ${extra}, which no sealed batch has`);
  }
  const inHistory = new Set<number>();
  for (const { rows } of sealed.flat()) {
    for (const { point } of rows)
      for (const value of Object.values(point.fields)) inHistory.add(Number(value));
  }
  for (const attempt of truth.ledger.attempts) {
    if (attempt.ackedMs === null || !truth.keptLevels.includes(attempt.level)) continue;
    checkAttempt(attempt, inHistory, truth);
  }
}

function checkAttempt(attempt: WriteAttempt, inHistory: ReadonlySet<number>, truth: Truth): void {
  for (const { point } of attempt.rows) {
    for (const value of Object.values(point.fields)) {
      if (inHistory.has(Number(value))) continue;
      throw new Violation(
        `value ${String(value)} of write ${attempt.number}, acknowledged at ${attempt.level}, is not in history; it is in ${whereIs(Number(value), truth)}`,
      );
    }
  }
}

/**
 * Of two acknowledged writes of one field through one node the one that began after the other was acknowledged stands
 * in the end. A batch that was re-routed is the documented exception: it is late, and late wins.
 */
export function checkOrder(history: ReadonlyMap<string, AnswerPoints>, truth: Truth): void {
  const { ledger, clocksAreWrong } = truth;
  if (clocksAreWrong) return;
  const writes = new Map<string, { readonly attempt: WriteAttempt; readonly value: number }[]>();
  for (const attempt of ledger.attempts) {
    if (attempt.ackedMs === null || !truth.keptLevels.includes(attempt.level)) continue;
    for (const { table, point } of attempt.rows) {
      for (const [field, value] of Object.entries(point.fields)) {
        const key = `${pointName(table, point)}\0${field}\0${attempt.node}`;
        writes.set(key, [...(writes.get(key) ?? []), { attempt, value: Number(value) }]);
      }
    }
  }
  for (const [key, all] of writes) {
    const [point = '', field = ''] = key.split('\0');
    const got = history.get(point.split(' ')[0] ?? '')?.get(point)?.[field];
    const stands = all.find(({ value }) => value === got);
    if (stands === undefined || isRerouted(stands.value, ledger)) continue;
    const later = all.find(({ attempt }) => attempt.startMs > (stands.attempt.ackedMs ?? 0));
    if (later === undefined) continue;
    throw new Violation(
      `${point} ${field} is ${stands.value} of write ${stands.attempt.number}, in ${whereIs(stands.value, truth)}; after ` +
        `its acknowledgement write ${later.attempt.number} wrote ${later.value} through the same node, in ${whereIs(later.value, truth)}`,
    );
  }
}

/** Whether a batch with the value was logged for more than one group. */
function isRerouted(value: number, ledger: Ledger): boolean {
  return new Set(ledger.batchesWith(value).map(({ batch }) => batch.group)).size > 1;
}

/** The sealed batches of every group, in the order in which groups closed. */
function sealedBatches({ ledger, watch }: Truth): KnownBatch[][] {
  return [...watch.groups.values()]
    .filter((group) => group.state === 'sealed')
    .sort((left, right) => (left.closeSequence ?? 0) - (right.closeSequence ?? 0))
    .map((group) => (group.sealedBatches ?? []).flatMap((range) => batchesOf(group, range, ledger)));
}

function batchesOf(group: ShardGroup, range: SequenceRange, ledger: Ledger): KnownBatch[] {
  const batches: KnownBatch[] = [];
  for (let sequence = range.first; sequence <= range.last; sequence++) {
    const id = batchIdText({ origin: range.origin, epoch: range.epoch, sequence });
    const batch = ledger.batch(group.id, id);
    if (batch === undefined)
      throw new Violation(`group ${group.id} has sealed batch ${id}, which no node ever logged`);
    batches.push(batch);
  }
  return batches;
}

function sameValues(
  left: Readonly<Record<string, number>> | undefined,
  right: Readonly<Record<string, number>>,
): boolean {
  const names = new Set([...Object.keys(left ?? {}), ...Object.keys(right)]);
  return [...names].every((name) => left?.[name] === right[name]);
}

function shown(fields: Readonly<Record<string, number>> | undefined): string {
  return fields === undefined ? 'not there' : JSON.stringify(fields);
}
