import type { ClusterFigures, HandoffFigures, ReplicationFigures } from '../runs/cluster.js';
import { figureText, tableText } from './table.js';

/** A row a replication, then a row for hand-off; the median of the rounds, least and greatest in brackets. */
export function clusterReport({ replications, handoffs }: ClusterFigures): string {
  const counts = [...new Set(replications.map(({ replication }) => replication))];
  const rows = counts.map((count) => {
    const of = (measure: (figures: ReplicationFigures) => number): string =>
      spanText(replications.filter(({ replication }) => replication === count).map(measure));
    return [
      String(count),
      of((figures) => figures.linesPerSecond / 1e6),
      of((figures) => figures.cpuSecondsPerMillionLines),
      of((figures) => figures.acknowledgeMsMedian),
      of((figures) => figures.otherCores),
    ];
  });
  const of = (measure: (figures: HandoffFigures) => number): string => spanText(handoffs.map(measure));
  return [
    tableText(
      ['replication', 'M lines/s at quorum', 'CPU s a M lines', 'acknowledged p50, ms', 'other cores'],
      rows,
    ),
    '',
    tableText(
      ['hand-off', 'hints', 'MiB', 'MiB/s', 'CPU s a GiB', 'other cores'],
      [
        [
          'to a node that was away',
          of(({ hints }) => hints),
          of(({ mebibytes }) => mebibytes),
          of(({ mebibytesPerSecond }) => mebibytesPerSecond),
          of(({ cpuSecondsPerGibibyte }) => cpuSecondsPerGibibyte),
          of(({ otherCores }) => otherCores),
        ],
      ],
    ),
  ].join('\n');
}

function spanText(values: readonly number[]): string {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted[Math.ceil(sorted.length / 2) - 1];
  if (sorted.length < 2) return figureText(middle);
  return `${figureText(middle)} (${figureText(sorted[0])}–${figureText(sorted.at(-1))})`;
}
