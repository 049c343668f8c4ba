import { VarveError } from '../std/errors.js';

/** Refuses what is no path below the disk's root, with `invalid`. The empty path is the root itself. */
export function checkDiskPath(path: string): void {
  if (path === '') return;
  const wrong = path.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (wrong || path.includes('\0') || path.includes('\\')) {
    throw new VarveError(
      'invalid',
      `got disk path ${JSON.stringify(path)}; want names joined by "/", without "." and ".."`,
    );
  }
}

/** The directory that a path lies in; empty for the root. */
export function parentOfDiskPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
