import { type PointStream, type TableShape, TableTotals, type TimeSpan } from './point-stream.js';
import { mulberry32, nextNormal, nextUniform, pick, streamsOf } from './random.js';

/**
 * Points in the shape of TSBS's cpu-only case (devops): hosts with ten tags, ten fields that walk at random in
 * [0, 100], one point a host every step. Seeded: the same options give the same points, by line or by host.
 */
export interface CpuOnlyOptions extends TimeSpan {
  readonly hosts: number;
  /** `int`: whole numbers as TSBS writes them; `float`: two decimals. */
  readonly kind: 'int' | 'float';
  readonly seed: number;
  readonly table?: string;
}

/** The names of the fields, in the order they are written. */
export const cpuFields = [
  ...['usage_user', 'usage_system', 'usage_idle', 'usage_nice', 'usage_iowait'],
  ...['usage_irq', 'usage_softirq', 'usage_steal', 'usage_guest', 'usage_guest_nice'],
] as const;

/** The names of the tags, in the order they are written. */
export const cpuTags = [
  ...['hostname', 'region', 'datacenter', 'rack', 'os', 'arch', 'team', 'service'],
  ...['service_version', 'service_environment'],
] as const;

const zonesOfRegion: Readonly<Record<string, readonly string[]>> = {
  'us-east-1': ['a', 'b', 'c', 'e'],
  'us-west-1': ['a', 'b'],
  'us-west-2': ['a', 'b', 'c'],
  'eu-west-1': ['a', 'b', 'c'],
  'eu-central-1': ['a', 'b'],
  'ap-southeast-1': ['a', 'b'],
  'ap-southeast-2': ['a', 'b'],
  'ap-northeast-1': ['a', 'c'],
  'sa-east-1': ['a', 'b', 'c'],
};

/** The tag values of every host, in the order of `cpuTags`. */
export function cpuHosts(hosts: number, seed: number): readonly (readonly string[])[] {
  const random = mulberry32(seed);
  const digit = (count: number): string => String(Math.floor(random() * count));
  return Array.from({ length: hosts }, (_, host) => {
    const region = pick(Object.keys(zonesOfRegion), random);
    return [
      ...[`host_${host}`, region, `${region}${pick(zonesOfRegion[region] ?? ['a'], random)}`, digit(100)],
      ...[pick(['Ubuntu16.10', 'Ubuntu16.04LTS', 'Ubuntu15.10'], random), pick(['x64', 'x86'], random)],
      ...[pick(['SF', 'NYC', 'LON', 'CHI'], random), digit(20), digit(2)],
      pick(['production', 'staging', 'test'], random),
    ];
  });
}

/** The fields of all hosts as they walk. Every host has random numbers of its own, so hosts may walk in any order. */
export class CpuWalk {
  /** In hundredths for `float`, in whole numbers for `int`: ten values a host. */
  readonly values: Int32Array;
  readonly #positions: Float64Array;
  readonly #streams: Int32Array;
  readonly #scale: number;

  constructor({ hosts, seed, kind }: Pick<CpuOnlyOptions, 'hosts' | 'seed' | 'kind'>) {
    this.#streams = streamsOf(seed ^ 0x5eed, hosts);
    this.#scale = kind === 'int' ? 1 : 100;
    this.values = new Int32Array(hosts * cpuFields.length);
    this.#positions = new Float64Array(hosts * cpuFields.length);
    for (let at = 0; at < this.#positions.length; at++) {
      this.#positions[at] = nextUniform(this.#streams, Math.floor(at / cpuFields.length)) * 100;
    }
  }

  /** Sets the host's values of this step and walks on. */
  step(host: number): void {
    const from = host * cpuFields.length;
    for (let at = from; at < from + cpuFields.length; at++) {
      const position = this.#positions[at] as number;
      this.values[at] = this.#scale === 1 ? Math.trunc(position) : Math.round(position * this.#scale);
      this.#positions[at] = Math.min(100, Math.max(0, position + nextNormal(this.#streams, host)));
    }
  }
}

/** The points in time order, hosts in order of their number within a step. */
export function cpuOnlyStream(options: CpuOnlyOptions): PointStream {
  const shape: TableShape = { name: options.table ?? 'cpu', fields: cpuFields };
  const totals = new TableTotals(shape);
  return { tables: [shape], passes: ['all'], totals, lines: () => cpuLines(options, shape, totals) };
}

function* cpuLines(options: CpuOnlyOptions, shape: TableShape, totals: TableTotals): Generator<string> {
  const { hosts, kind, startMs, stepMs, steps } = options;
  const keys = cpuHosts(hosts, options.seed).map(
    (values) => `${shape.name},${cpuTags.map((tag, index) => `${tag}=${values[index]}`).join(',')} `,
  );
  const walk = new CpuWalk(options);
  const divisor = kind === 'int' ? 1 : 100;
  const texts = Array.from({ length: 100 * divisor + 1 }, (_, value) =>
    kind === 'int' ? `${value}i` : String(value / divisor),
  );
  const names = cpuFields.map((field, index) => `${index === 0 ? '' : ','}${field}=`);
  for (let step = 0; step < steps; step++) {
    const time = ` ${startMs + step * stepMs}000000\n`;
    for (let host = 0; host < hosts; host++) {
      walk.step(host);
      let line = keys[host] as string;
      for (let field = 0; field < names.length; field++) {
        const value = walk.values[host * names.length + field] as number;
        totals.add(field, value / divisor);
        line += (names[field] as string) + texts[value];
      }
      yield line + time;
    }
  }
}
