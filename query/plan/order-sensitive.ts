import { type AstNode, AstNumber, type AstValue } from './ast.js';

/**
 * Aggregates whose value can depend on the order in which the engine's threads hand in rows: floating-point sums in
 * the last digits, and those that take one row or list rows as they come.
 */
const orderSensitive =
  /^(sum|avg|mean|fsum|favg|sumkahan|kahan_sum|product|geomean|geometric_mean|std.*|var.*|covar.*|corr|regr_.*|skewness|kurtosis.*|sem|entropy|first|last|any_value|arbitrary|arg_m.*|min_by|max_by|list|array_agg|string_agg|group_concat|listagg|mode|approx_.*|reservoir_quantile|histogram.*)$/;

/** Whether two computations over the same rows may differ in some bits of the answer. */
export function isOrderSensitive(root: AstNode): boolean {
  const name = root['function_name'];
  if (typeof name === 'string' && orderSensitive.test(name.toLowerCase())) return true;
  return Object.values(root).some(valueIsSensitive);
}

function valueIsSensitive(value: AstValue): boolean {
  if (typeof value !== 'object' || value === null || value instanceof AstNumber) return false;
  if (Array.isArray(value)) return (value as readonly AstValue[]).some(valueIsSensitive);
  return isOrderSensitive(value as AstNode);
}
