import type { FieldTotals } from '../generate/point-stream.js';
import { isClose } from '../measure/statistics.js';
import { differenceOf } from '../questions/answer.js';
import type { Question } from '../questions/question.js';
import type { Answerer } from '../systems/system.js';

/** Throws unless a system holds exactly the points that were generated: counts, sums, least and greatest values. */
export function checkTotals(name: string, wanted: readonly FieldTotals[], got: readonly FieldTotals[]): void {
  for (const want of wanted) {
    const have = got.find(({ table, field }) => table === want.table && field === want.field);
    for (const part of ['count', 'sum', 'min', 'max'] as const) {
      if (have !== undefined && isClose(have[part], want[part])) continue;
      throw new Error(
        `${name}: ${part} of ${want.table}.${want.field}: got ${have?.[part]}; want ${want[part]}`,
      );
    }
  }
}

/** Throws unless all systems that can be asked answer each question alike. */
export async function checkAgreement(
  systems: readonly Answerer[],
  questions: readonly Question[],
): Promise<void> {
  for (const question of questions) {
    const [first, ...others] = systems.filter((system) => system.canAsk(question));
    if (first === undefined) continue;
    const answer = await (await first.ask(question)).read();
    if (answer.size === 0) throw new Error(`${question.shape}: ${first.name} answered nothing`);
    for (const other of others) {
      const otherAnswer = await (await other.ask(question)).read();
      const difference = differenceOf(
        { name: first.name, answer },
        { name: other.name, answer: otherAnswer },
      );
      if (difference !== undefined) throw new Error(`${question.shape}: answers differ at ${difference}`);
    }
  }
}
