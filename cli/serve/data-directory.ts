import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VarveError } from '../../core/std/errors.js';

/** A data directory that this process alone uses until it lets go. */
export interface DataDirectory {
  readonly path: string;
  release(): void;
}

/**
 * Takes the data directory for this process: two writers of one WAL would destroy it. A lock left by a process that
 * is no more is taken over; a process is told from another with the same id by its start time where the system
 * shows that. Errors: `conflict` naming the process that has it and the flag that names another.
 */
export function takeDataDirectory(path: string, flag = '--data-dir'): DataDirectory {
  const root = resolve(path);
  mkdirSync(root, { recursive: true });
  const lockPath = join(root, 'varve.lock');
  const mine = `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`;
  for (;;) {
    try {
      writeFileSync(lockPath, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      const holder = readHolder(lockPath);
      if (holder !== undefined && isRunning(holder)) {
        throw new VarveError(
          'conflict',
          `directory ${root}: in use by process ${holder.pid}; want a directory of its own for each process (${flag})`,
        );
      }
      rmSync(lockPath, { force: true });
    }
  }
  return { path: root, release: () => rmSync(lockPath, { force: true }) };
}

interface Holder {
  readonly pid: number;
  readonly startTime: string;
}

function readHolder(lockPath: string): Holder | undefined {
  try {
    const [pid = '', startTime = ''] = readFileSync(lockPath, 'utf8').trim().split(' ');
    return /^\d+$/.test(pid) ? { pid: Number(pid), startTime } : undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (!isCode(error, 'EPERM')) return false;
  }
  const startTime = startTimeOf(holder.pid);
  return startTime === undefined || holder.startTime === '' || startTime === holder.startTime;
}

/** The process's start time in the kernel's ticks (field 22 of /proc/PID/stat), undefined where there is no such file. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    // No /proc on this system, or the process has just gone: the process id alone has to do.
    return undefined;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
