import { figureText } from './table.js';

/** How many times better Varve is than a peer: above 1, Varve is ahead. Least, middle and greatest over rounds. */
export interface Ratio {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/**
 * Compares figures of the same rounds, one a round each. `more`: the greater figure is the better one (lines a
 * second); `less`: the smaller one (milliseconds, bytes).
 */
export function ratioOf(
  varve: readonly number[],
  peer: readonly number[],
  better: 'more' | 'less',
): Ratio | undefined {
  const ratios = varve
    .slice(0, peer.length)
    .map((figure, round) => {
      const other = peer[round] as number;
      return better === 'more' ? figure / other : other / figure;
    })
    .sort((left, right) => left - right);
  if (ratios.length === 0) return undefined;
  return {
    min: ratios[0] as number,
    median: ratios[Math.ceil(ratios.length / 2) - 1] as number,
    max: ratios.at(-1) as number,
  };
}

/** `3.10× (2.90–3.40)`. */
export function ratioText(ratio: Ratio | undefined): string {
  if (ratio === undefined) return '–';
  return `${figureText(ratio.median)}× (${figureText(ratio.min)}–${figureText(ratio.max)})`;
}
