import { assert } from '../../core/std/assert.js';

/**
 * Counts the appends under way for each group, so that closing a group is a clean cut: after close() resolves no
 * append that was let in is still running, and none is let in any more. Repairs go on in a closed group until it is
 * shut, so that its owners can come to hold the same.
 */
export class OwnerGates {
  readonly #gates = new Map<string, Gate>();

  /** What is known of the group here. Unknown groups must be looked up in the catalog before they are entered. */
  state(group: string): 'unknown' | GateState {
    return this.#gates.get(group)?.state ?? 'unknown';
  }

  /** Marks an unknown group open. A group that was closed meanwhile stays closed. */
  open(group: string): void {
    if (!this.#gates.has(group)) this.#gates.set(group, newGate('open'));
  }

  /** Lets one append in if the group is open; each entry needs one leave. */
  enter(group: string): boolean {
    const gate = this.#gates.get(group);
    if (gate?.state !== 'open') return false;
    gate.appends.running += 1;
    return true;
  }

  leave(group: string): void {
    leave(this.#gates.get(group)?.appends, group);
  }

  /** Lets one repair in if the group is open or closed; each entry needs one leaveRepair. */
  enterRepair(group: string): boolean {
    const gate = this.#gates.get(group);
    if (gate === undefined || gate.state === 'shut') return false;
    gate.repairs.running += 1;
    return true;
  }

  leaveRepair(group: string): void {
    leave(this.#gates.get(group)?.repairs, group);
  }

  /** Lets no append in any more; resolves when the last one under way has left. */
  async close(group: string): Promise<void> {
    const gate = this.#gates.get(group) ?? newGate('closed');
    if (gate.state === 'open') gate.state = 'closed';
    this.#gates.set(group, gate);
    await idle(gate.appends);
  }

  /** Lets nothing in any more, repairs neither; resolves when all have left. Before a group is dropped. */
  async shut(group: string): Promise<void> {
    const gate = this.#gates.get(group) ?? newGate('shut');
    gate.state = 'shut';
    this.#gates.set(group, gate);
    await idle(gate.appends);
    await idle(gate.repairs);
  }

  /** The group was shut and is kept: repairs may go on. */
  unshut(group: string): void {
    const gate = this.#gates.get(group);
    if (gate?.state === 'shut') gate.state = 'closed';
  }

  /** Resolves when every append that was let in has left. */
  async appendsAreOver(): Promise<void> {
    for (const gate of [...this.#gates.values()]) await idle(gate.appends);
  }

  /** Every group that is known here. */
  groups(): string[] {
    return [...this.#gates.keys()];
  }

  /** Forgets a group that this node has dropped. */
  forget(group: string): void {
    this.#gates.delete(group);
  }
}

type GateState = 'open' | 'closed' | 'shut';

interface Gate {
  state: GateState;
  readonly appends: Passage;
  readonly repairs: Passage;
}

interface Passage {
  running: number;
  readonly onIdle: (() => void)[];
}

function newGate(state: GateState): Gate {
  return { state, appends: { running: 0, onIdle: [] }, repairs: { running: 0, onIdle: [] } };
}

function leave(passage: Passage | undefined, group: string): void {
  assert(passage !== undefined && passage.running > 0, `left the gate of group ${group} without entering it`);
  passage.running -= 1;
  if (passage.running > 0) return;
  for (const resolve of passage.onIdle.splice(0)) resolve();
}

async function idle(passage: Passage): Promise<void> {
  if (passage.running > 0) await new Promise<void>((resolve) => passage.onIdle.push(resolve));
}
