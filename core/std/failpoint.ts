/**
 * Named places where a test may end the process. Unarmed they cost one property read. Only a composition
 * root arms them (VARVE_FAILPOINT=name or name:N for the N-th time it is reached).
 */
let armed: { readonly name: string; remaining: number; readonly fire: () => void } | undefined;

/** Every failpoint in the code, so that a typing error in a test cannot pass silently. */
export const failpointNames = [
  'wal.before-sync',
  'wal.after-sync',
  'wal.before-truncate',
  'wal.during-truncate',
  'seal.before-parquet-put',
  'seal.after-parquet-put',
  'seal.before-table-commit',
  'seal.after-table-commit',
  'seal.between-table-commits',
  'seal.before-group-sealed',
  'seal.after-group-sealed',
  'merge.before-commit',
  'merge.after-commit',
  'expire.before-delete',
  'expire.during-delete',
] as const;

export type FailpointName = (typeof failpointNames)[number];

/** Arms one failpoint; `fire` runs when it is reached for the `count`-th time. */
export function armFailpoint(name: FailpointName, count: number, fire: () => void): void {
  armed = { name, remaining: count, fire };
}

/** Makes every failpoint harmless again. */
export function disarmFailpoint(): void {
  armed = undefined;
}

/** A place where the process may be made to end. */
export function failpoint(name: FailpointName): void {
  if (armed === undefined || armed.name !== name) return;
  armed.remaining -= 1;
  if (armed.remaining === 0) armed.fire();
}
