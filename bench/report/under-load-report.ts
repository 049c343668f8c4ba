import type { UnderLoadResult } from '../runs/under-load.js';
import { figureText, tableText } from './table.js';

/** Latency with nothing else going on beside latency under load, and what became of the writes meanwhile. */
export function underLoadReport(results: readonly UnderLoadResult[]): string {
  return results.map(resultReport).join('\n\n');
}

function resultReport(result: UnderLoadResult): string {
  const lines = (perSecond: number): string => `${figureText(perSecond / 1e6)} M lines/s`;
  const rows = result.shapes.map(({ shape, idleMs, loadedMs }) => [
    shape,
    figureText(idleMs.median),
    figureText(idleMs.p99),
    figureText(loadedMs.median),
    figureText(loadedMs.p99),
    `${figureText(loadedMs.p99 / idleMs.p99)}×`,
  ]);
  const { acknowledgeMs } = result;
  return [
    `${result.system}: takes ${lines(result.linesPerSecondMax)}; under load ${lines(result.linesPerSecondHad)} of ${lines(result.linesPerSecondWanted)}, ` +
      `writes acknowledged in p50 ${figureText(acknowledgeMs.median)}, p99 ${figureText(acknowledgeMs.p99)}, max ${figureText(acknowledgeMs.max)} ms, ${result.refused} refused; other work ${figureText(result.otherCores)} cores`,
    tableText(['ms', 'idle p50', 'idle p99', 'loaded p50', 'loaded p99', 'p99 ratio'], rows),
  ].join('\n');
}
