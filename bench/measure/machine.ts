import { arch, cpus, loadavg, release, totalmem } from 'node:os';

/** Where figures come from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGibibytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Load average of the last minute before the run began: of other work. */
  readonly loadAverage: number;
  readonly date: string;
}

/** The machine as it is now. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? arch(),
    cores: cpus().length,
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** One line for people, with a warning where other work disturbs the figures. */
export function machineText(machine: Machine): string {
  const text = `${machine.cores} × ${machine.cpu}, ${machine.memoryGibibytes} GiB, Linux ${machine.kernel}, Node.js ${machine.node}, ${machine.date}`;
  const limit = machine.cores * 0.75;
  return machine.loadAverage <= limit
    ? text
    : `${text}\nWARNING: load average ${machine.loadAverage} before the run; figures that count want at most ${limit}`;
}
