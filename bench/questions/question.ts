import { cpuFields } from '../generate/cpu-only.js';
import { mulberry32 } from '../generate/random.js';

/** Seconds since the epoch, from inclusive, to exclusive. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** A question of TSBS's devops case, free of any query language. */
export type Question = Stretch & {
  readonly shape: string;
  /** The table asked: `cpu` unless a run has several. */
  readonly table: string;
} & (
    | {
        /** One value a bucket and field, and host where `byHost`. */
        readonly kind: 'buckets';
        readonly aggregate: 'max' | 'avg';
        readonly fields: readonly string[];
        /** Null for all. */
        readonly hosts: readonly string[] | null;
        readonly byHost: boolean;
        readonly bucketSeconds: number;
      }
    /** Whole rows whose `field` is greater than `above`. */
    | { readonly kind: 'rows-above'; readonly field: string; readonly above: number }
    /** The newest row of every host. */
    | { readonly kind: 'last-points' }
    /** The maximum of `field` in each of the newest `limit` buckets before `to`, newest first. */
    | {
        readonly kind: 'newest-buckets';
        readonly field: string;
        readonly bucketSeconds: number;
        readonly limit: number;
      }
  );

/** What questions are about. */
export interface QuestionSpan extends Stretch {
  readonly hosts: number;
  readonly table: string;
}

/** Makes questions of one shape, new ones each time; the same random numbers, the same questions. */
export interface QuestionShape {
  readonly name: string;
  /** Heavy shapes are asked fewer times. */
  readonly heavy: boolean;
  make(span: QuestionSpan, random: () => number): Question;
}

/**
 * A random stretch, whole buckets long and aligned to them, so that every system counts the same points in each
 * bucket. As long as the data where that is less.
 */
function stretchOf(span: QuestionSpan, random: () => number, bucket: number, buckets: number): Stretch {
  const first = Math.floor(span.from / bucket);
  const end = Math.ceil(span.to / bucket);
  const length = Math.min(buckets, end - first);
  const at = first + Math.floor(random() * (end - first - length + 1));
  return { from: at * bucket, to: (at + length) * bucket };
}

function hostsOf(span: QuestionSpan, random: () => number, count: number): readonly string[] {
  const hosts = new Set<number>();
  while (hosts.size < Math.min(count, span.hosts)) hosts.add(Math.floor(random() * span.hosts));
  return [...hosts].map((host) => `host_${host}`);
}

function singleGroupBy(metrics: number, hosts: number, hours: number): QuestionShape {
  const name = `single-groupby-${metrics}-${hosts}-${hours}`;
  return {
    name,
    heavy: false,
    make: (span, random) => ({
      kind: 'buckets',
      shape: name,
      table: span.table,
      aggregate: 'max',
      fields: cpuFields.slice(0, metrics),
      hosts: hostsOf(span, random, hosts),
      byHost: false,
      bucketSeconds: 60,
      ...stretchOf(span, random, 60, hours * 60),
    }),
  };
}

function doubleGroupBy(suffix: string, metrics: number): QuestionShape {
  const name = `double-groupby-${suffix}`;
  return {
    name,
    heavy: true,
    make: (span, random) => ({
      kind: 'buckets',
      shape: name,
      table: span.table,
      aggregate: 'avg',
      fields: cpuFields.slice(0, metrics),
      hosts: null,
      byHost: true,
      bucketSeconds: 3600,
      ...stretchOf(span, random, 3600, 12),
    }),
  };
}

const cpuMaxAll: QuestionShape = {
  name: 'cpu-max-all-8',
  heavy: false,
  make: (span, random) => ({
    kind: 'buckets',
    shape: 'cpu-max-all-8',
    table: span.table,
    aggregate: 'max',
    fields: cpuFields,
    hosts: hostsOf(span, random, 8),
    byHost: false,
    bucketSeconds: 3600,
    ...stretchOf(span, random, 3600, 8),
  }),
};

const highCpuAll: QuestionShape = {
  name: 'high-cpu-all',
  heavy: true,
  make: (span, random) => ({
    kind: 'rows-above',
    shape: 'high-cpu-all',
    table: span.table,
    field: 'usage_user',
    above: 90,
    ...stretchOf(span, random, 3600, 12),
  }),
};

const lastPoint: QuestionShape = {
  name: 'lastpoint',
  heavy: true,
  make: ({ from, to, table }) => ({ kind: 'last-points', shape: 'lastpoint', table, from, to }),
};

const groupByOrderByLimit: QuestionShape = {
  name: 'groupby-orderby-limit',
  heavy: false,
  make: (span, random) => {
    // Before a random minute of the second half, so that there are always enough buckets.
    const minutes = Math.floor(((span.to - span.from) * (0.5 + random() / 2)) / 60);
    return {
      kind: 'newest-buckets',
      shape: 'groupby-orderby-limit',
      table: span.table,
      field: 'usage_user',
      bucketSeconds: 60,
      limit: 5,
      from: span.from,
      to: (Math.floor(span.from / 60) + minutes) * 60,
    };
  },
};

/** The shapes in the order of the reports. */
export const questionShapes: readonly QuestionShape[] = [
  singleGroupBy(1, 1, 1),
  singleGroupBy(1, 8, 1),
  singleGroupBy(5, 8, 1),
  cpuMaxAll,
  doubleGroupBy('1', 1),
  doubleGroupBy('5', 5),
  doubleGroupBy('all', cpuFields.length),
  highCpuAll,
  lastPoint,
  groupByOrderByLimit,
];

/** `count` questions of a shape; the same seed gives every system the same ones. */
export function questionsOf(
  shape: QuestionShape,
  span: QuestionSpan,
  count: number,
  seed: number,
): readonly Question[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => shape.make(span, random));
}
