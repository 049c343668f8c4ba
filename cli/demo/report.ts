/** Prints the demo's steps and remembers whether each check held. */
export class DemoReport {
  readonly #write: (text: string) => void;
  #failures = 0;
  #checks = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** A heading. */
  step(title: string): void {
    this.#write(`\n── ${title}\n`);
  }

  line(text = ''): void {
    this.#write(`${text}\n`);
  }

  /** Says whether what was claimed is so; a failure counts against the exit status. */
  check(claim: string, problems: readonly string[]): void {
    this.#checks += 1;
    if (problems.length === 0) {
      this.#write(`  ✓ ${claim}\n`);
      return;
    }
    this.#failures += 1;
    this.#write(`  ✗ ${claim}\n`);
    for (const problem of problems.slice(0, 5)) this.#write(`      ${problem}\n`);
    if (problems.length > 5) this.#write(`      and ${problems.length - 5} more\n`);
  }

  get failures(): number {
    return this.#failures;
  }

  get checks(): number {
    return this.#checks;
  }
}

/** `[]` when both are equal, else one line that says what was got and what was wanted. */
export function differs(name: string, got: unknown, want: unknown): string[] {
  return got === want ? [] : [`${name}: got ${String(got)}; want ${String(want)}`];
}
