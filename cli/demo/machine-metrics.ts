import { hostname } from 'node:os';
import si from 'systeminformation';

/** One measured point, ready to be written as a line of line protocol. */
export interface Measurement {
  readonly table: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Numbers become double columns, bigints integer columns. */
  readonly fields: Readonly<Record<string, number | bigint>>;
  readonly timeMs: number;
}

/** Takes one sample of this machine: CPU per core, memory, load, file systems, disk and network counters. */
export async function sampleMachine(timeMs: number): Promise<Measurement[]> {
  const host = hostname() || 'localhost';
  const [load, memory, network, disk, fileSystems] = await Promise.all([
    si.currentLoad(),
    si.mem(),
    si.networkStats('*'),
    si.disksIO(),
    si.fsSize(),
  ]);
  const point = (
    table: string,
    tags: Record<string, string>,
    fields: Record<string, number | bigint | null>,
  ): Measurement => ({
    table,
    tags: { host, ...tags },
    fields: Object.fromEntries(
      Object.entries(fields).filter(
        (entry): entry is [string, number | bigint] => entry[1] !== null && isMeasured(entry[1]),
      ),
    ),
    timeMs,
  });
  const measurements = [
    ...load.cpus.map((cpu, core) =>
      point(
        'cpu',
        { core: String(core) },
        { usage: cpu.load, user: cpu.loadUser, system: cpu.loadSystem, idle: cpu.loadIdle },
      ),
    ),
    point(
      'memory',
      {},
      {
        total: BigInt(memory.total),
        used: BigInt(memory.used),
        available: BigInt(memory.available),
        free: BigInt(memory.free),
      },
    ),
    point('load', {}, { average: load.avgLoad, busy: load.currentLoad }),
    ...network.map((card) =>
      point(
        'network',
        { interface: card.iface },
        {
          rx_bytes: BigInt(card.rx_bytes),
          tx_bytes: BigInt(card.tx_bytes),
          rx_dropped: BigInt(card.rx_dropped),
          tx_dropped: BigInt(card.tx_dropped),
        },
      ),
    ),
    ...(disk === null ? [] : [point('disk_io', {}, { reads: BigInt(disk.rIO), writes: BigInt(disk.wIO) })]),
    ...fileSystems.map((fs) =>
      point(
        'filesystem',
        { mount: fs.mount },
        { size: BigInt(fs.size), used: BigInt(fs.used), use_percent: fs.use },
      ),
    ),
  ];
  return measurements.filter((measurement) => Object.keys(measurement.fields).length > 0);
}

function isMeasured(value: number | bigint): boolean {
  return typeof value === 'bigint' || Number.isFinite(value);
}

/** The measurement as a line of line protocol with a time in milliseconds. */
export function toLine(measurement: Measurement): string {
  const tags = Object.entries(measurement.tags)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `,${escapeKey(name)}=${escapeKey(value)}`);
  const fields = Object.entries(measurement.fields).map(
    ([name, value]) => `${escapeKey(name)}=${typeof value === 'bigint' ? `${value}i` : value}`,
  );
  return `${escapeKey(measurement.table)}${tags.join('')} ${fields.join(',')} ${measurement.timeMs}`;
}

function escapeKey(text: string): string {
  return text.replaceAll(/[,= ]/g, (character) => `\\${character}`);
}
