import type { QueryFigures } from '../runs/query.js';
import { ratioOf, ratioText } from './ratio.js';
import { figureText, tableText } from './table.js';

/** One row a shape: p50, p99 and CPU a question of each system in milliseconds, then how far Varve's p50 is ahead of each peer's. */
export function queryReport(figures: readonly QueryFigures[]): string {
  const states = [...new Set(figures.map(({ state }) => state))];
  return states.map((state) => stateReport(state, figures)).join('\n\n');
}

function stateReport(state: string, figures: readonly QueryFigures[]): string {
  const all = figures.filter((each) => each.state === state);
  const systems = [...new Set(all.map(({ system }) => system))];
  const peers = systems.filter((system) => system !== 'varve');
  const shapes = [...new Set(all.map(({ shape }) => shape))];
  const rows = shapes.map((shape) => {
    const of = (system: string): QueryFigures | undefined =>
      all.find((each) => each.shape === shape && each.system === system);
    return [
      shape,
      ...systems.map((system) => {
        const ms = of(system)?.ms;
        if (ms === undefined) return '–';
        return `${figureText(ms.median)} / ${figureText(ms.p99)} / ${figureText(of(system)?.cpuMsPerQuestion)}`;
      }),
      ...peers.map((peer) =>
        ratioText(ratioOf(of('varve')?.roundMedians ?? [], of(peer)?.roundMedians ?? [], 'less')),
      ),
      figureText(all.find((each) => each.shape === shape)?.otherCores),
    ];
  });
  const headers = [
    'p50 / p99 / CPU, ms',
    ...systems,
    ...peers.map((peer) => `ahead of ${peer}`),
    'other cores',
  ];
  return `${state}\n${tableText(headers, rows)}`;
}
