import type { FastifyReply } from 'fastify';
import { VarveError } from '../std/errors.js';

/** Fires when the client goes away before its answer has ended. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const abort = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) abort.abort(new VarveError('cancelled', 'the client went away'));
  });
  return abort.signal;
}
