import { VarveError } from '../std/errors.js';

/**
 * Reads the parts of a stored record and refuses, as `corrupt`, what has not the wanted shape. Every error names the
 * item's key, the path within it, what was got and what was wanted.
 */
export class Shape {
  readonly #value: unknown;
  /** What the whole is, for messages. */
  readonly #subject: string;
  readonly #path: string;

  private constructor(value: unknown, subject: string, path: string) {
    this.#value = value;
    this.#subject = subject;
    this.#path = path;
  }

  /** A value that came from elsewhere; `subject` names it in errors. */
  static of(value: unknown, subject: string): Shape {
    return new Shape(value, subject, '');
  }

  /** Parses the text of the item `key`, which must be an object of the wanted format version. */
  static parse(key: string, text: string, format: number): Shape {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new VarveError('corrupt', `catalog item ${key}: got text that is no JSON`);
    }
    const shape = new Shape(value, `catalog item ${key}`, '');
    const got = shape.at('format').integer();
    if (got !== format) {
      throw new VarveError(
        'corrupt',
        `catalog item ${key}: got format ${got}; this version of Varve reads format ${format}`,
      );
    }
    return shape;
  }

  /** The member of an object; absent members read as undefined and fail when they are taken. */
  at(name: string): Shape {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.#fail('an object');
    const member: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    return new Shape(member, this.#subject, this.#path === '' ? name : `${this.#path}.${name}`);
  }

  /** Whether an object has the member. */
  has(name: string): boolean {
    return typeof this.#value === 'object' && this.#value !== null && Object.hasOwn(this.#value, name);
  }

  string(): string {
    return typeof this.#value === 'string' ? this.#value : this.#fail('text');
  }

  integer(): number {
    return Number.isSafeInteger(this.#value) && (this.#value as number) >= 0
      ? (this.#value as number)
      : this.#fail('a whole number from 0 up');
  }

  boolean(): boolean {
    return typeof this.#value === 'boolean' ? this.#value : this.#fail('true or false');
  }

  bigint(): bigint {
    const text = this.#value;
    if (typeof text !== 'string' || !/^(0|-?[1-9][0-9]{0,18})$/.test(text))
      return this.#fail('an integer as text');
    return BigInt(text);
  }

  oneOf<T extends string>(...values: readonly T[]): T {
    const found = values.find((value) => value === this.#value);
    return found ?? this.#fail(values.map((value) => `"${value}"`).join(' or '));
  }

  nullOr<T>(read: (shape: Shape) => T): T | null {
    return this.#value === null ? null : read(this);
  }

  array<T>(read: (shape: Shape, index: number) => T): T[] {
    if (!Array.isArray(this.#value)) return this.#fail('a list');
    return this.#value.map((value: unknown, index) =>
      read(new Shape(value, this.#subject, `${this.#path}[${index}]`), index),
    );
  }

  /** A list of two. */
  pair(): [Shape, Shape] {
    const [first, second, ...more] = this.array((shape) => shape);
    return first === undefined || second === undefined || more.length > 0
      ? this.#fail('a list of two')
      : [first, second];
  }

  /** Refuses the value at this place. */
  fail(wanted: string): never {
    return this.#fail(wanted);
  }

  #fail(wanted: string): never {
    const got = JSON.stringify(this.#value)?.slice(0, 100) ?? 'nothing';
    const place = this.#path === '' ? '' : ` at ${this.#path}`;
    throw new VarveError('corrupt', `${this.#subject}: got ${got}${place}; want ${wanted}`);
  }
}
