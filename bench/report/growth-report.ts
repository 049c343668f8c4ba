import type { GrowthFigures } from '../runs/growth.js';
import { figureText, tableText } from './table.js';

/** One column a size. */
export function growthReport(figures: readonly GrowthFigures[]): string {
  const shapes = figures[0]?.shapes.map(({ shape }) => shape) ?? [];
  const row = (label: string, of: (each: GrowthFigures) => string): string[] => [label, ...figures.map(of)];
  return tableText(
    ['', ...figures.map(({ scale, tables }) => `${scale}×, ${tables} table${tables === 1 ? '' : 's'}`)],
    [
      row('M rows', ({ rows }) => figureText(rows / 1e6)),
      row('data files', ({ files }) => String(files)),
      row('MiB', ({ mebibytes }) => figureText(mebibytes)),
      row('M rows/s written', ({ rowsPerSecondWritten }) => figureText(rowsPerSecondWritten / 1e6)),
      row('start to first answer, ms', ({ firstAnswerMs }) => figureText(firstAnswerMs)),
      ...shapes.map((name) =>
        row(`${name} p50 / p99, ms`, ({ shapes: timed }) => {
          const ms = timed.find(({ shape }) => shape === name)?.ms;
          return ms === undefined ? '–' : `${figureText(ms.median)} / ${figureText(ms.p99)}`;
        }),
      ),
      row('peak RSS, MiB', ({ peakMebibytes }) => figureText(peakMebibytes)),
      row('cores of other work', ({ otherCores }) => figureText(otherCores)),
    ],
  );
}
