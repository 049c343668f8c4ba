import type { IngestFigures } from '../runs/ingest.js';
import { ratioOf, ratioText } from './ratio.js';
import { figureText, tableText } from './table.js';

interface Measure {
  readonly label: string;
  /** Absent where nothing is to be compared. */
  readonly better?: 'more' | 'less';
  readonly of: (figures: IngestFigures) => number;
}

const measures: readonly Measure[] = [
  { label: 'M lines/s acknowledged', better: 'more', of: (f) => f.linesPerSecondAcknowledged / 1e6 },
  { label: 'M lines/s until settled', better: 'more', of: (f) => f.linesPerSecondSettled / 1e6 },
  { label: 'CPU s a M lines', better: 'less', of: (f) => f.cpuSecondsPerMillionLines },
  { label: 'peak RSS, MiB', better: 'less', of: (f) => f.peakMebibytes },
  { label: 'bytes a sample, merged', better: 'less', of: (f) => f.bytesPerSample },
  { label: '… with index', better: 'less', of: (f) => f.bytesPerSample + f.indexBytesPerSample },
  { label: 'acknowledged p50, ms', better: 'less', of: (f) => f.acknowledgeMs.median },
  { label: 'acknowledged max, ms', better: 'less', of: (f) => f.acknowledgeMs.max },
  { label: 'cores of other work', of: (f) => f.otherCores },
];

/** One row a measure: median, least and greatest of each system, then how far Varve is ahead of each peer. */
export function ingestReport(figures: readonly IngestFigures[]): string {
  const systems = [...new Set(figures.map(({ system }) => system))];
  const peers = systems.filter((system) => system !== 'varve');
  const of = (system: string): IngestFigures[] => figures.filter((each) => each.system === system);
  const passes = (figures[0]?.passes ?? []).map(
    ({ name }): Measure => ({
      label: `M lines/s, ${name}`,
      better: 'more',
      of: (f) => (f.passes.find((pass) => pass.name === name)?.linesPerSecond ?? 0) / 1e6,
    }),
  );
  const shown = passes.length > 1 ? [...passes, ...measures] : measures;
  const rows = shown.map((measure) => {
    const values = (system: string): number[] => of(system).map(measure.of);
    return [
      measure.label,
      ...systems.map((system) => spanText(values(system))),
      ...peers.map((peer) =>
        measure.better === undefined ? '' : ratioText(ratioOf(values('varve'), values(peer), measure.better)),
      ),
    ];
  });
  return tableText(['', ...systems, ...peers.map((peer) => `ahead of ${peer}`)], rows);
}

function spanText(values: readonly number[]): string {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted[Math.ceil(sorted.length / 2) - 1];
  if (sorted.length < 2) return figureText(middle);
  return `${figureText(middle)} (${figureText(sorted[0])}–${figureText(sorted.at(-1))})`;
}
