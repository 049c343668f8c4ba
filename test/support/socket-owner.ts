import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Whether the system tells which process a connection comes from: Linux does. */
export const canTellSocketOwner = process.platform === 'linux';

/**
 * Which of the processes has the loopback TCP socket between these ports, seen from its side; undefined when none has
 * it any more.
 */
export function socketOwner(
  localPort: number,
  remotePort: number,
  pids: Iterable<number>,
): number | undefined {
  const inode = inodeOf(localPort, remotePort);
  if (inode === undefined) return undefined;
  for (const pid of pids) if (holdsSocket(pid, inode)) return pid;
  return undefined;
}

/** The inode of the socket, from the table of connections. Columns: sl, local, remote, state, …, inode as the tenth. */
function inodeOf(localPort: number, remotePort: number): string | undefined {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (columns[1]?.endsWith(`:${hex(localPort)}`) && columns[2]?.endsWith(`:${hex(remotePort)}`)) {
      return columns[9];
    }
  }
  return undefined;
}

function holdsSocket(pid: number, inode: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => linkOf(`${folder}/${fd}`) === `socket:[${inode}]`);
  } catch {
    // The process has ended.
    return false;
  }
}

/** A descriptor may be closed between the listing and the look. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
