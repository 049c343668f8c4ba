import { isClose } from '../measure/statistics.js';

/**
 * An answer free of the system that gave it: values by what they belong to (`<seconds>` of a bucket, then host,
 * then field, as far as the question has them). Rows are told by their count and the sum of one field.
 */
export type Answer = ReadonlyMap<string, number>;

/** The first difference of two answers, in words; undefined when they agree within the rounding of floats. */
export function differenceOf(
  left: { readonly name: string; readonly answer: Answer },
  right: { readonly name: string; readonly answer: Answer },
): string | undefined {
  if (left.answer.size === 0) return `${left.name} answered nothing`;
  for (const [key, value] of left.answer) {
    const other = right.answer.get(key);
    if (other === undefined) return `${key}: ${left.name} has ${value}, ${right.name} has nothing`;
    if (!isClose(value, other)) return `${key}: ${left.name} has ${value}, ${right.name} has ${other}`;
  }
  const extra = [...right.answer.keys()].find((key) => !left.answer.has(key));
  return extra === undefined
    ? undefined
    : `${extra}: ${left.name} has nothing, ${right.name} has ${right.answer.get(extra)}`;
}

/** The key of a value. */
export function answerKey(...parts: readonly (string | number)[]): string {
  return parts.join(' ');
}
