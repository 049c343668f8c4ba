/** JSON with 64-bit integers: snapshot ids are 63 bits, which a JavaScript number cannot hold exactly. */

/** What can stand in a JSON text that `stringifyLongJson` writes; bigints become plain integer literals. */
export type LongJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly LongJson[]
  | { readonly [key: string]: LongJson | undefined };

/** Writes JSON, a bigint as an integer literal. Properties that are undefined are left out. */
export function stringifyLongJson(value: LongJson): string {
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(stringifyLongJson).join(',')}]`;
  const members = Object.entries(value)
    .filter((member): member is [string, LongJson] => member[1] !== undefined)
    .map(([key, member]) => `${JSON.stringify(key)}:${stringifyLongJson(member)}`);
  return `{${members.join(',')}}`;
}

/**
 * Parses JSON in which integers of 16 digits and more come back as strings of digits, exact; the decoder knows
 * which members are longs and takes either form. Throws SyntaxError as JSON.parse does.
 */
export function parseLongJson(text: string): unknown {
  // A string literal is matched first and kept as it is, so digits inside one are never taken for a number.
  const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    /^-?\d{16,}$/.test(token) ? `"${token}"` : token,
  );
  return JSON.parse(quoted);
}

/** Array.isArray does not narrow readonly arrays. */
function isList(
  value: readonly LongJson[] | { readonly [key: string]: LongJson | undefined },
): value is readonly LongJson[] {
  return Array.isArray(value);
}
