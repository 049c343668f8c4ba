import type { FastifyInstance } from 'fastify';
import { VarveError } from '../std/errors.js';

/** Content types under which clients send JSON without saying so; `curl -d` says the second. */
const undeclaredTypes = ['text/plain', 'application/x-www-form-urlencoded'];

/** Takes JSON bodies that are declared as something else; what is no JSON is refused with what was got and wanted. */
export function acceptUndeclaredJson(server: FastifyInstance): void {
  server.removeContentTypeParser('text/plain');
  server.addContentTypeParser(undeclaredTypes, { parseAs: 'string' }, (request, body, done) => {
    const text = String(body);
    if (text.trim() === '') return done(null, undefined);
    try {
      return done(null, JSON.parse(text));
    } catch {
      const got = JSON.stringify(text.slice(0, 60));
      return done(
        new VarveError(
          'invalid',
          `${request.method} ${request.routeOptions.url ?? ''}: got the body ${got}; want a JSON object`,
        ),
      );
    }
  });
}
