import { errorMessage, VarveError } from '../../core/std/errors.js';
import { parseDurationMs, parseSizeBytes } from '../../core/std/units.js';

/** The environment of a process: texts by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings of a function, read from its environment. They have the names that the flags of the command have there,
 * VARVE_OBJECT_STORE for `--object-store`. An empty text is no setting. Errors: `invalid`, naming the setting.
 */
export class LambdaSettings {
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** A setting that has to be there. */
  required(name: string, example: string): string {
    const text = this.text(name);
    if (text !== undefined) return text;
    throw new VarveError(
      'invalid',
      `got no ${name} in the function's environment; want one such as ${example}`,
    );
  }

  text(name: string): string | undefined {
    const text = this.#environment[name];
    return text === '' ? undefined : text;
  }

  /** On for `true` and `1`. */
  isOn(name: string): boolean {
    return ['true', '1'].includes(this.text(name) ?? '');
  }

  /** A duration such as 30s, in milliseconds. */
  durationMs(name: string, defaultMs: number): number {
    return this.#parsed(name, parseDurationMs) ?? defaultMs;
  }

  /** A size such as 256MiB, in bytes. */
  sizeBytes(name: string, defaultBytes: number): number {
    return this.#parsed(name, parseSizeBytes) ?? defaultBytes;
  }

  /** A whole number of at least 1. */
  count(name: string, defaultCount: number): number {
    return this.#parsed(name, parseCount) ?? defaultCount;
  }

  #parsed<Value>(name: string, parse: (text: string) => Value): Value | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      throw new VarveError('invalid', `reading ${name}: ${errorMessage(error)}`, { cause: error });
    }
  }
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new VarveError('invalid', `got "${text}"; want a whole number of at least 1`);
}
