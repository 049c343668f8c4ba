import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../core/model/batch.js';
import { VarveError } from '../../core/std/errors.js';

/**
 * Ties a data directory to the node whose write-ahead log it holds. A node that came back without what it had
 * acknowledged would answer as if that had never been (invariant 2), so it is refused. Errors: `conflict`.
 *
 * @param isKnown whether the catalog has had the node before
 */
export function claimDirectory(path: string, node: NodeId, isKnown: boolean): void {
  const file = join(path, 'node-id');
  if (existsSync(file)) {
    const owner = readFileSync(file, 'utf8').trim();
    if (owner === node) return;
    throw new VarveError(
      'conflict',
      `data directory ${path}: it is that of node ${owner}; want that of node ${node} (--data-dir), or --node-id ${owner}`,
    );
  }
  // A directory that `varve serve` filled has a log and no name yet.
  if (isKnown && !existsSync(join(path, 'wal'))) {
    throw new VarveError(
      'conflict',
      `data directory ${path}: it is empty, and node ${node} has been started before; want the directory it had then (--data-dir), for it may hold what is not settled yet, or another --node-id`,
    );
  }
  writeFileSync(file, `${node}\n`);
}
