/** What one deployment is like: read from the context (`cdk.json`, or `-c key=value` on the command line). */
export interface Settings {
  /** Parts deployments in one account from one another; begins the names of resources and is a tag. */
  readonly stage: string;
  /** Undefined: the region of the credentials that deploy. */
  readonly region: string | undefined;
  readonly size: Size;
  readonly ingestTasks: number;
  /** Addresses that may reach the load balancer, as CIDR blocks; empty: the network itself only. */
  readonly clients: readonly string[];
  readonly networkCidr: string;
  readonly zones: number;
  /** Certificate of the load balancer in ACM; undefined: plain HTTP within the network. */
  readonly certificateArn: string | undefined;
  /** Image of the ingest task, as `account.dkr.ecr.region.amazonaws.com/varve:tag`; undefined: built from the Dockerfile. */
  readonly image: string | undefined;
  /** Where alarms are sent: an address of e-mail; undefined: to a topic without subscribers. */
  readonly alarmEmail: string | undefined;
  /** Lets the compactor hand databases out to itself; costs an interface endpoint for Lambda. */
  readonly fanOut: boolean;
  /** Folder of the bundled Lambda code. */
  readonly lambdaBundle: string;
  /** Stands in for Lambda code that was not bundled, so that a synthesis shows the templates; such a stack cannot work. */
  readonly placeholderCode: boolean;
  /** Tags of every resource beside `project` and `stage`. */
  readonly tags: Readonly<Record<string, string>>;
}

/** Processors and memory of each component. */
export interface Size {
  /** Units of 1/1024 virtual CPU. */
  readonly ingestCpu: number;
  readonly ingestMemoryMiB: number;
  /** `--hot-bytes-max`: leaves room for the decoder's caches and the runtime. */
  readonly hotBytesMax: string;
  /** `--wal-bytes-max`. */
  readonly walBytesMax: string;
  /** `--hint-bytes-max`, for each other node. */
  readonly hintBytesMax: string;
  /** The task's own disk: log and hints, and the platform's share. */
  readonly ingestDiskGiB: number;
  readonly compactorMemoryMiB: number;
  readonly queryMemoryMiB: number;
}

/** The sizes to choose from: `-c size=small`. */
export const sizes: Readonly<Record<string, Size>> = {
  small: {
    ingestCpu: 512,
    ingestMemoryMiB: 2048,
    hotBytesMax: '768MiB',
    walBytesMax: '4GiB',
    hintBytesMax: '2GiB',
    ingestDiskGiB: 21,
    compactorMemoryMiB: 1769,
    queryMemoryMiB: 1769,
  },
  medium: {
    ingestCpu: 2048,
    ingestMemoryMiB: 8192,
    hotBytesMax: '4GiB',
    walBytesMax: '16GiB',
    hintBytesMax: '4GiB',
    ingestDiskGiB: 50,
    compactorMemoryMiB: 3008,
    queryMemoryMiB: 3008,
  },
  large: {
    ingestCpu: 8192,
    ingestMemoryMiB: 32_768,
    hotBytesMax: '20GiB',
    walBytesMax: '64GiB',
    hintBytesMax: '16GiB',
    ingestDiskGiB: 150,
    compactorMemoryMiB: 7076,
    queryMemoryMiB: 10_240,
  },
};

/** Reads the settings. Errors: one that names the key of the context, what it was and what it may be. */
export function readSettings(context: (key: string) => unknown): Settings {
  const text = (key: string): string | undefined => {
    const value = context(key);
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return String(value);
    throw wrong(key, JSON.stringify(value), 'text');
  };
  const choice = <Choice extends string>(
    key: string,
    choices: readonly Choice[],
    otherwise: Choice,
  ): Choice => {
    const given = text(key) ?? otherwise;
    const found = choices.find((each) => each === given);
    if (found === undefined) throw wrong(key, given, choices.join(', '));
    return found;
  };
  const stage = text('stage') ?? 'dev';
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(stage))
    throw wrong('stage', stage, 'at most 20 of a-z, 0-9 and -, a letter first');
  const sizeName = choice('size', Object.keys(sizes), 'small');
  const size = sizes[sizeName];
  if (size === undefined) throw wrong('size', sizeName, Object.keys(sizes).join(', '));
  return {
    stage,
    region: text('region'),
    size,
    ingestTasks: readIngestTasks(text('ingestTasks') ?? '3'),
    clients: readCidrs(text('clients')),
    networkCidr: text('networkCidr') ?? '10.86.0.0/16',
    zones: readZones(text('zones') ?? '3'),
    certificateArn: text('certificateArn'),
    image: text('image'),
    alarmEmail: text('alarmEmail'),
    fanOut: choice('fanOut', ['true', 'false'], 'false') === 'true',
    lambdaBundle: text('lambdaBundle') ?? '../dist-lambda',
    placeholderCode: choice('placeholderCode', ['true', 'false'], 'false') === 'true',
    tags: readTags(context('tags')),
  };
}

function readIngestTasks(given: string): number {
  const tasks = Number(given);
  // Below three copies a quorum is all of them, and a task that is replaced keeps writes waiting.
  if (/^\d+$/.test(given) && tasks >= 3 && tasks <= 50) return tasks;
  throw wrong('ingestTasks', given, '3 to 50: what is in flux is on the disks of three tasks');
}

function readZones(given: string): number {
  const zones = Number(given);
  // A load balancer needs two. In three zones the loss of one takes one of three copies.
  if (zones !== 2 && zones !== 3) throw wrong('zones', given, '2 or 3');
  return zones;
}

function readCidrs(given: string | undefined): readonly string[] {
  const cidrs = (given ?? '').split(',').filter((cidr) => cidr !== '');
  for (const cidr of cidrs) {
    if (!/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(cidr))
      throw wrong('clients', cidr, 'CIDR blocks joined by commas, as 10.0.0.0/8');
    if (cidr.endsWith('/0'))
      throw wrong('clients', cidr, 'the networks that write, not every address there is');
  }
  return cidrs;
}

function readTags(given: unknown): Readonly<Record<string, string>> {
  if (given === undefined) return {};
  const pairs: unknown =
    typeof given === 'string' ? given.split(',').map((pair) => pair.split('=')) : Object.entries(given ?? {});
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw wrong('tags', JSON.stringify(given), 'key=value pairs joined by commas');
  return Object.fromEntries(pairs.map(([key, value]: [string, unknown]) => [key, String(value)]));
}

function wrong(key: string, got: string, want: string): Error {
  return new Error(`context "${key}": got ${got}; want ${want}`);
}
