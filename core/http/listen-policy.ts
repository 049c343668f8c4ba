import { VarveError } from '../std/errors.js';

export interface ListenRequest {
  readonly host: string;
  /** Path of a token file, if one is given. */
  readonly tokenFile: string | undefined;
  /** The operator has said that anyone may use the server. */
  readonly insecure: boolean;
}

/** Throws `invalid` when the server would be open to a network without a token and nobody has asked for that. */
export function checkListenPolicy({ host, tokenFile, insecure }: ListenRequest): void {
  if (isLoopback(host) || tokenFile !== undefined || insecure) return;
  throw new VarveError(
    'invalid',
    `got host ${host}, which others can reach, and no token file; want --token-file FILE, or --insecure to let anyone in, or a loopback host such as 127.0.0.1`,
  );
}

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (name === 'localhost' || name === '::1') return true;
  return /^(::ffff:)?127(\.\d{1,3}){3}$/.test(name);
}
