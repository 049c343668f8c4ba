import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { goneSignal } from '../../core/http/gone-signal.js';
import { formatTimeNs } from '../../core/model/window.js';
import { contentTypes } from '../formats/result-encoder.js';
import type { AnswerFacts, QueryAnswer, QueryRequest } from '../query-request.js';
import { readQueryRequest } from './query-parameters.js';

/** What answers the questions: a QueryService. */
export interface QueryHandler {
  query(request: QueryRequest, signal?: AbortSignal): Promise<QueryAnswer>;
}

/** Registers GET and POST /api/v3/query_sql. */
export function registerQueryRoutes(server: FastifyInstance, handler: QueryHandler): void {
  const path = '/api/v3/query_sql';
  const answer = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    answerQuery(handler, request, reply);
  // HEAD would run the whole query for its headers alone.
  server.get(path, { exposeHeadRoute: false }, answer);
  server.post(path, answer);
}

async function answerQuery(
  handler: QueryHandler,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const wanted = readQueryRequest({
    query: request.query,
    body: request.body,
    accept: request.headers.accept,
    ifNoneMatch: request.headers['if-none-match'],
  });
  const answer = await handler.query(wanted, goneSignal(reply));
  reply.headers(answerHeaders(answer.facts));
  if (answer.kind === 'not-modified') return reply.code(304).send();

  const pieces = answer.body[Symbol.asyncIterator]();
  // Two steps before the head goes out: an early failure still gets its status, a short answer its length.
  const first = await pieces.next();
  const second = first.done === true ? first : await pieces.next();
  reply.type(contentTypes[wanted.format]);
  if (second.done === true)
    return reply.send(Buffer.from(first.done === true ? new Uint8Array() : first.value));
  return reply.send(Readable.from(resumed([first.value as Uint8Array, second.value], pieces)));
}

function answerHeaders(facts: AnswerFacts): Record<string, string> {
  return {
    'varve-settled-through': formatTimeNs(facts.settledThroughNs),
    'varve-snapshot': facts.snapshot,
    'varve-history-root': facts.historyRoot,
    'varve-tiers': facts.tiers,
    vary: 'accept',
    ...(facts.etag === null ? {} : { etag: facts.etag }),
    ...(facts.incomplete.length === 0 && !facts.areConflictsCut
      ? {}
      : { 'varve-incomplete': incompleteText(facts) }),
  };
}

/** Headers are kept short by servers and proxies on the way; the log has the rest. */
const incompleteCharactersMax = 1000;

/** Which shards of which groups an answer lacks: `l000000000007/0, l000000000007/3`; then what else it lacks. */
export function incompleteText({
  incomplete,
  areConflictsCut,
}: Pick<AnswerFacts, 'incomplete' | 'areConflictsCut'>): string {
  const cut = areConflictsCut ? ['more of varve.conflicts'] : [];
  const names = [...cut, ...new Set(incomplete.map(({ group, shard }) => `${group}/${shard}`))];
  let shown = '';
  for (const [index, name] of names.entries()) {
    const next = shown === '' ? name : `${shown}, ${name}`;
    if (next.length > incompleteCharactersMax) return `${shown} and ${names.length - index} more`;
    shown = next;
  }
  return shown;
}

/** Pieces taken already, then the rest; leaving it leaves the source. */
function resumed(taken: readonly Uint8Array[], source: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  const queue = [...taken];
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      const value = queue.shift();
      return value === undefined ? source.next() : { done: false, value };
    },
    async return() {
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
