import { expect, it } from 'vitest';
import { synthesize } from './templates.js';

/** How many resources of each type the stack has: a change here is a change of what is paid for and guarded. */
function countByType(): Record<string, number> {
  const counts: Record<string, number> = {};
  const { Resources: resources } = synthesize().toJSON() as {
    readonly Resources: Readonly<Record<string, { readonly Type: string }>>;
  };
  for (const { Type: type } of Object.values(resources)) counts[type] = (counts[type] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([left], [right]) => left.localeCompare(right)));
}

it('has these resources', () => {
  expect(countByType()).toMatchSnapshot();
});

it('says the same in every synthesis', () => {
  expect(synthesize().toJSON()).toEqual(synthesize().toJSON());
});
