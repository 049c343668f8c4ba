import { type PointStream, type TableShape, TableTotals, type TimeSpan } from './point-stream.js';
import { mulberry32, pick } from './random.js';

/** Points in the shape of TSBS's iot case: trucks that report where they are and how they fare. */
export interface IotOptions extends TimeSpan {
  readonly hosts: number;
  readonly seed: number;
}

const readings: TableShape = {
  name: 'readings',
  fields: [
    ...['load_capacity', 'fuel_capacity', 'nominal_fuel_consumption', 'latitude', 'longitude'],
    ...['elevation', 'velocity', 'heading', 'grade', 'fuel_consumption'],
  ],
};
const diagnostics: TableShape = {
  name: 'diagnostics',
  fields: [
    ...['load_capacity', 'fuel_capacity', 'nominal_fuel_consumption'],
    ...['fuel_state', 'current_load', 'status'],
  ],
};
const models = [
  { model: 'F-150', capacities: [2000, 200, 15] },
  { model: 'G-2000', capacities: [5000, 300, 19] },
  { model: 'H-2', capacities: [1500, 150, 12] },
] as const;
/** Of the reports of a step so many are never sent, and so many of the diagnostics come a step late. */
const missingShare = 0.02;
const delayedShare = 0.05;

interface Truck {
  readonly tags: string;
  readonly capacities: readonly number[];
  latitude: number;
  longitude: number;
  elevation: number;
  velocity: number;
  heading: number;
  fuelState: number;
  readonly load: number;
}

/** The points about in time order: as in TSBS some reports are missing and some come late. */
export function iotStream(options: IotOptions): PointStream {
  const totals = [new TableTotals(readings), new TableTotals(diagnostics)] as const;
  return {
    tables: [readings, diagnostics],
    passes: ['all'],
    totals: {
      get list() {
        return totals.flatMap(({ list }) => list);
      },
    },
    lines: () => iotLines(options, ...totals),
  };
}

function* iotLines(options: IotOptions, ofReadings: TableTotals, ofStates: TableTotals): Generator<string> {
  const random = mulberry32(options.seed);
  const trucks = Array.from({ length: options.hosts }, (_, index) => makeTruck(index, random));
  let delayed: string[] = [];
  for (let step = 0; step < options.steps; step++) {
    const time = `${options.startMs + step * options.stepMs}000000\n`;
    const late = delayed;
    delayed = [];
    for (const truck of trucks) {
      drive(truck, random);
      if (random() >= missingShare) {
        yield `readings,${truck.tags} ${fieldsText(readings, readingOf(truck, random), ofReadings)} ${time}`;
      }
      if (random() < missingShare) continue;
      const line = `diagnostics,${truck.tags} ${fieldsText(diagnostics, stateOf(truck, random), ofStates)} ${time}`;
      if (random() < delayedShare && step + 1 < options.steps) delayed.push(line);
      else yield line;
    }
    yield* late;
  }
}

function makeTruck(index: number, random: () => number): Truck {
  const { model, capacities } = pick(models, random);
  const tags = {
    name: `truck_${index}`,
    fleet: pick(['East', 'West', 'North', 'South'], random),
    driver: pick(['Derek', 'Rodney', 'Albert', 'Andy', 'Seth', 'Trish'], random),
    model,
    device_version: pick(['v1.0', 'v1.5', 'v2.0', 'v2.3'], random),
  };
  return {
    tags: Object.entries(tags)
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    capacities,
    latitude: random() * 90,
    longitude: random() * 180,
    elevation: Math.floor(random() * 500),
    velocity: 0,
    heading: Math.floor(random() * 360),
    fuelState: 1,
    load: Math.floor(random() * capacities[0]),
  };
}

function drive(truck: Truck, random: () => number): void {
  const bounded = (value: number, most: number): number => Math.min(most, Math.max(0, value));
  truck.latitude = bounded(truck.latitude + (random() - 0.5) / 100, 90);
  truck.longitude = bounded(truck.longitude + (random() - 0.5) / 100, 180);
  truck.elevation = bounded(truck.elevation + Math.floor(random() * 21) - 10, 500);
  truck.velocity = bounded(truck.velocity + Math.floor(random() * 21) - 10, 100);
  truck.heading = bounded(truck.heading + Math.floor(random() * 21) - 10, 360);
  truck.fuelState = truck.fuelState < 0.01 ? 1 : truck.fuelState - random() / 1000;
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

function readingOf(truck: Truck, random: () => number): readonly number[] {
  return [
    ...truck.capacities,
    ...[rounded(truck.latitude, 5), rounded(truck.longitude, 5), truck.elevation, truck.velocity],
    ...[truck.heading, Math.floor(random() * 100), rounded(10 + random() * 40, 1)],
  ];
}

function stateOf(truck: Truck, random: () => number): readonly number[] {
  return [...truck.capacities, rounded(truck.fuelState, 1), truck.load, random() < 0.1 ? 5 : 0];
}

/** As in TSBS all fields are floats but the status of diagnostics. */
function fieldsText(table: TableShape, values: readonly number[], totals: TableTotals): string {
  return values
    .map((value, index) => {
      totals.add(index, value);
      const field = table.fields[index];
      return `${field}=${value}${field === 'status' ? 'i' : ''}`;
    })
    .join(',');
}
