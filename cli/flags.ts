import { InvalidArgumentError, Option } from 'commander';
import { errorMessage } from '../core/std/errors.js';
import { parseDurationMs, parseSizeBytes } from '../core/std/units.js';

/** Makes an option that may also be given as an environment variable: `--hot-bytes-max` as VARVE_HOT_BYTES_MAX. */
function flag(flags: string, description: string, defaultText?: string): Option {
  const option = new Option(flags, description);
  const name = /--([a-z0-9-]+)/.exec(flags)?.[1] ?? '';
  option.env(`VARVE_${name.replaceAll('-', '_').toUpperCase()}`);
  if (defaultText !== undefined) option.default(defaultText);
  return option;
}

function parsed<Value>(option: Option, parse: (text: string) => Value): Option {
  const text = option.defaultValue;
  option.argParser((given: string) => {
    try {
      return parse(given);
    } catch (error) {
      throw new InvalidArgumentError(errorMessage(error));
    }
  });
  if (typeof text === 'string') option.default(parse(text), text);
  return option;
}

/** A flag whose value is text. */
export function textFlag(flags: string, description: string, defaultText?: string): Option {
  return flag(flags, description, defaultText);
}

/** A flag whose value is text, empty where it is not given; `otherwise` says what is taken then. */
export function textFlagOr(flags: string, description: string, otherwise: string): Option {
  return flag(flags, description).default('', otherwise);
}

/** A flag whose value is a duration (10s, 5m, 1h, 7d), in milliseconds once parsed. */
export function durationFlag(flags: string, description: string, defaultText?: string): Option {
  return parsed(flag(flags, description, defaultText), parseDurationMs);
}

/** A flag whose value is a size (64MiB, 2GiB), in bytes once parsed. */
export function sizeFlag(flags: string, description: string, defaultText?: string): Option {
  return parsed(flag(flags, description, defaultText), parseSizeBytes);
}

/** A flag whose value is a whole number of at least `min` and, if it is given, at most `max`. */
export function countFlag(
  flags: string,
  description: string,
  defaultText: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): Option {
  const wanted =
    max === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${min}`
      : `a whole number of ${min} to ${max}`;
  return parsed(flag(flags, description, defaultText), (text) => {
    const count = Number(text);
    const isIn = text.trim() !== '' && Number.isSafeInteger(count) && count >= min && count <= max;
    if (!isIn) throw new Error(`got "${text}"; want ${wanted}`);
    return count;
  });
}

/** A flag that is on or off. */
export function switchFlag(flags: string, description: string): Option {
  return flag(flags, description).default(false);
}
