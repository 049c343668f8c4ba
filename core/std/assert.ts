/** Thrown when the program contradicts itself. In the WAL, the catalog and sealing it ends the process. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AssertionError';
  }
}

/** Checks what must be true whatever the input; a failure is a defect of Varve, never of its caller. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks the branch that an exhaustive switch can never reach. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value ${JSON.stringify(value)}`);
}
