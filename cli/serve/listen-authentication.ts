import { readFileSync } from 'node:fs';
import { type Authentication, noAuthentication, readTokenFile } from '../../core/http/authentication.js';
import { checkListenPolicy } from '../../core/http/listen-policy.js';
import type { ListenFlags } from './serve-flags.js';

/** Who may ask a process that listens as the flags say. Errors: `invalid` when it would be open to a network unasked. */
export function listenAuthentication({ host, tokenFile, insecure }: ListenFlags): Authentication {
  checkListenPolicy({ host, tokenFile, insecure });
  return tokenFile === undefined ? noAuthentication : readTokenFile(readFileSync(tokenFile, 'utf8'));
}
