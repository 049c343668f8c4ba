import type { DataFile } from '../../core/iceberg/types.js';
import { mayShare } from './file-overlap.js';

/**
 * Groups files that may share a point with one another, directly or through others; files that share with none are
 * left out. A sweep in order of time, so that files of different windows never meet.
 */
export function overlapComponents(files: readonly DataFile[], tagFieldIds: readonly number[]): DataFile[][] {
  const sorted = [...files].sort((left, right) => compareBigints(left.minTimeNs, right.minTimeNs));
  const parents = sorted.map((_, index) => index);
  const rootOf = (index: number): number => {
    let root = index;
    while (parents[root] !== root) root = parents[root] as number;
    while (parents[index] !== root) {
      const next = parents[index] as number;
      parents[index] = root;
      index = next;
    }
    return root;
  };
  let active: number[] = [];
  sorted.forEach((file, index) => {
    active = active.filter((other) => (sorted[other] as DataFile).maxTimeNs >= file.minTimeNs);
    for (const other of active) {
      if (mayShare(sorted[other] as DataFile, file, tagFieldIds)) parents[rootOf(other)] = rootOf(index);
    }
    active.push(index);
  });
  const components = new Map<number, DataFile[]>();
  sorted.forEach((file, index) => {
    const root = rootOf(index);
    const component = components.get(root);
    if (component === undefined) components.set(root, [file]);
    else component.push(file);
  });
  return [...components.values()].filter((component) => component.length > 1);
}

function compareBigints(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
