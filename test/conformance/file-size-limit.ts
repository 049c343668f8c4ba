import { execFileSync } from 'node:child_process';

/** Whether withFileSizeLimit works here: it needs Linux and the command prlimit of util-linux. */
export const canLimitFileSize = ((): boolean => {
  try {
    execFileSync('prlimit', ['--pid', `${process.pid}`, '--fsize'], { stdio: 'ignore' });
    return process.platform === 'linux';
  } catch {
    return false;
  }
})();

/**
 * Runs `action` while this process cannot make any file longer than `bytes`: a write beyond fails as on a full
 * volume, with EFBIG in place of ENOSPC.
 */
export async function withFileSizeLimit(bytes: number, action: () => Promise<void>): Promise<void> {
  const limit = (value: string): void => {
    execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${value}:`]);
  };
  // Without a listener the signal that comes with the error would end the process.
  const ignore = (): void => {};
  process.on('SIGXFSZ', ignore);
  limit(`${bytes}`);
  try {
    await action();
  } finally {
    limit('unlimited');
    process.off('SIGXFSZ', ignore);
  }
}
