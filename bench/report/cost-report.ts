import { combineUse, dollarsOf, type PriceList, type StoreUse } from '../measure/price-list.js';
import type { CostFigures } from '../runs/cost.js';
import { figureText, tableText } from './table.js';

const daysOfMonth = 30;
const hoursOfDay = 24;
const gigabyte = 1e9;

/** What a day and a month come to, from the hours that were simulated. */
export function costOfMonth(
  figures: CostFigures,
  prices: PriceList,
): {
  readonly day: StoreUse;
  readonly requestDollars: number;
  readonly gigabytes: number;
  readonly storageDollars: number;
} {
  const { ingest, sealing, idle, upkeep, hours, elapsedHours } = figures;
  const day = combineUse([
    combineUse([ingest, sealing, upkeep], hoursOfDay / hours),
    combineUse([idle], hoursOfDay / elapsedHours),
  ]);
  const gigabytes = (figures.dataBytes * (hoursOfDay / hours) * daysOfMonth) / gigabyte;
  return {
    day,
    requestDollars: dollarsOf(day, prices) * daysOfMonth,
    gigabytes,
    storageDollars: gigabytes * prices.s3GigabyteMonth,
  };
}

/** One column a length of windows: a day of requests by what asks, and a month in dollars. */
export function costReport(all: readonly CostFigures[], prices: PriceList): string {
  const row = (label: string, of: (each: CostFigures) => string): string[] => [label, ...all.map(of)];
  const perDay = (use: StoreUse, hours: number): string => {
    const day = combineUse([use], hoursOfDay / hours);
    const objects = [day.puts, day.gets, day.lists].map((value) => value.toFixed(0)).join(' / ');
    return `${objects} · ${day.writeUnits.toFixed(0)} / ${day.readUnits.toFixed(0)}`;
  };
  const once = (use: StoreUse): string =>
    `${use.puts} / ${use.gets} / ${use.lists} · ${use.writeUnits} / ${use.readUnits}`;
  const month = (each: CostFigures) => costOfMonth(each, prices);
  const rows = [
    row('settled after at most', ({ settledAfterMs }) => `${settledAfterMs / 60_000} min`),
    row('simulated hours, points', ({ hours, points }) => `${hours} h, ${figureText(points / 1e6)} M`),
    row('a seal, at most', ({ mostOfASeal }) => once(mostOfASeal)),
    row('sealing, a day', ({ sealing, hours }) => perDay(sealing, hours)),
    row('upkeep, a day', ({ upkeep, hours }) => perDay(upkeep, hours)),
    row('looking and lease, a day', ({ idle, elapsedHours }) => perDay(idle, elapsedHours)),
    row('ingest, a day', ({ ingest, hours }) => perDay(ingest, hours)),
    row('point query, cold', ({ coldQuery }) => once(coldQuery)),
    row('point query, warm', ({ warmQuery }) => once(warmQuery)),
    row('bytes stored a point', ({ dataBytes, points }) => figureText(dataBytes / points)),
    row('GB of data for 30 days', (each) => figureText(month(each).gigabytes)),
    row('requests, $ a month', (each) => figureText(month(each).requestDollars)),
    row('storage of 30 days, $ a month', (each) => figureText(month(each).storageDollars)),
  ];
  const headers = [
    'PUT / GET / LIST · write / read units',
    ...all.map(({ windowMs }) => `${windowMs / 60_000} min`),
  ];
  const prelude = [
    `Prices: ${prices.region}, ${prices.date}. A day is the simulated hours times 24 / hours; a month has 30.`,
    'Not in it: heartbeats, /ready, deletes (free), the merge at the end of a day, transfer, machines.',
  ];
  return [...prelude, '', tableText(headers, rows)].join('\n');
}
