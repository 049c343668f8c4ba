import { type ErrorKind, errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';

/** The engine names the class of an error at the start of its message; these tell what may be done about it. */
const kinds: readonly (readonly [prefix: string, kind: ErrorKind])[] = [
  ['Out of Memory Error', 'exhausted'],
  ['INTERRUPT Error', 'cancelled'],
  ['IO Error', 'unavailable'],
  ['HTTP Error', 'unavailable'],
  ['INTERNAL Error', 'internal'],
  ['FATAL Error', 'internal'],
  ['TransactionContext Error', 'internal'],
  ['TProtocolException', 'corrupt'],
];
/** A settled file by its path on this machine; its name is the hash of its content. */
const settledFile = /[^\s'"]*\/([0-9a-f]{64}\.parquet)/g;

/** An error of the engine as one of ours: what is wrong with the SQL is `invalid`, with the engine's words. */
export function engineError(error: unknown): VarveError {
  if (isVarveError(error)) return error;
  const engineMessage = errorMessage(error).trim();
  const message = engineMessage.replaceAll(settledFile, '$1');
  const named = kinds.find(([prefix]) => message.startsWith(prefix))?.[1];
  // Where the message names one of our files, the file is wrong and not the SQL.
  const kind = named ?? (message === engineMessage ? 'invalid' : 'corrupt');
  if (kind === 'corrupt') {
    return new VarveError(
      'corrupt',
      `query: a settled file cannot be read, verify lists the damage. ${firstLine(message)}`,
    );
  }
  if (kind === 'exhausted') {
    const advice = 'want a narrower time range, fewer groups, or a higher limit';
    return new VarveError('exhausted', `query: memory limit reached; ${advice}. ${message}`);
  }
  return new VarveError(kind, `query: ${message}`);
}

/** True when the engine will answer nothing any more and must be opened anew. */
export function isFatal(error: unknown): boolean {
  return /^FATAL Error|database has been invalidated/.test(errorMessage(error));
}

/** Without the place in the SQL: there it stands in our own view. */
function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
