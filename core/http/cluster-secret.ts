import { VarveError } from '../std/errors.js';
import { type Authentication, readTokenFile } from './authentication.js';

/** By which the processes of a cluster know one another. */
export interface ClusterSecret {
  /** What this process shows. */
  readonly presented: string;
  /** What it takes from others: every secret of the file, so that one can be changed without an outage. */
  readonly accepted: Extract<Authentication, { readonly kind: 'tokens' }>;
}

const secretBytesMin = 16;

/**
 * Reads the content of a cluster secret file: one secret a line, the first is the one shown to others; blank lines and
 * lines that begin with # are skipped. `invalid` when there is none, or one that is short enough to guess.
 */
export function readClusterSecret(content: string): ClusterSecret {
  const secrets = content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const short = secrets.find((secret) => Buffer.byteLength(secret) < secretBytesMin);
  const [presented] = secrets;
  if (presented === undefined || short !== undefined) {
    const got = short === undefined ? 'none' : `one of ${Buffer.byteLength(short)} bytes`;
    throw new VarveError(
      'invalid',
      `cluster secret file: got ${got}; want a secret of at least ${secretBytesMin} bytes a line, such as the output of \`openssl rand -hex 32\``,
    );
  }
  const accepted = readTokenFile(secrets.join('\n'));
  if (accepted.kind !== 'tokens') throw new VarveError('internal', 'a cluster secret that lets everyone in');
  return { presented, accepted };
}
