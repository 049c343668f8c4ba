type Growable = Uint8Array | Int32Array | Uint32Array | Float64Array | BigInt64Array;

/** A longer copy of the array: at least `length` elements, at least twice as many as now. The rest is zero. */
export function grow<Values extends Growable>(values: Values, length: number): Values {
  return resize(values, Math.max(length, values.length * 2));
}

/** A copy of the array of exactly `length` elements, which is not less than it has. The rest is zero. */
export function resize<Values extends Growable>(values: Values, length: number): Values {
  const longer = new (values.constructor as new (length: number) => Values)(length);
  longer.set(values as never);
  return longer;
}
