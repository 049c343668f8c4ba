import { type PointStream, type TableShape, TableTotals, type TimeSpan } from './point-stream.js';
import { mulberry32, nextUniform, shuffle } from './random.js';

/** Very many series with two fields each, written a few times over in an order of its own each time. */
export interface CardinalityOptions extends TimeSpan {
  /** Series; a step writes each once. */
  readonly hosts: number;
  readonly seed: number;
}

const shape: TableShape = { name: 'meters', fields: ['load', 'temperature'] };

/** The first pass registers every series, the second meets them again. */
export function cardinalityStream(options: CardinalityOptions): PointStream {
  const totals = new TableTotals(shape);
  const known = Math.max(1, options.steps) - 1;
  return {
    tables: [shape],
    passes: known === 0 ? ['first contact'] : ['first contact', 'known series'],
    totals,
    lines: (pass) => (pass === 0 ? passLines(options, 0, 1, totals) : passLines(options, 1, known, totals)),
  };
}

function* passLines(
  options: CardinalityOptions,
  firstStep: number,
  steps: number,
  totals: TableTotals,
): Generator<string> {
  const values = Int32Array.of(options.seed ^ firstStep);
  const order = Array.from({ length: options.hosts }, (_, series) => series);
  for (let step = firstStep; step < firstStep + steps; step++) {
    shuffle(order, order.length, mulberry32(options.seed + step));
    const time = ` ${options.startMs + step * options.stepMs}000000\n`;
    for (const series of order) {
      const load = Math.floor(nextUniform(values, 0) * 1000);
      const temperature = Math.floor(nextUniform(values, 0) * 10_000) / 100;
      totals.add(0, load);
      totals.add(1, temperature);
      yield `meters,meter=m${series},site=site_${series % 1000} load=${load}i,temperature=${temperature}${time}`;
    }
  }
}
