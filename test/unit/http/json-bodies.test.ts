import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { noAuthentication } from '../../../core/http/authentication.js';
import { createHttpServer } from '../../../core/http/server.js';
import { silentLogger } from '../../../core/std/logger.js';

async function post(type: string | undefined, payload: string) {
  const server = createHttpServer({
    authentication: noAuthentication,
    clock: new SimulatedClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  server.post('/echo', async (request) => ({ got: request.body ?? null }));
  const headers = type === undefined ? {} : { 'content-type': type };
  const answer = await server.inject({ method: 'POST', url: '/echo', headers, payload });
  return { status: answer.statusCode, body: answer.json() as Record<string, unknown> };
}

describe('JSON bodies', () => {
  it.each(['application/json', 'text/plain', 'application/x-www-form-urlencoded'])(
    'are read as %s',
    async (type) => {
      expect(await post(type, '{"db": "m"}')).toEqual({ status: 200, body: { got: { db: 'm' } } });
    },
  );

  it('are asked for where something else came', async () => {
    const answer = await post('application/x-www-form-urlencoded', 'db=m');
    expect(answer.status).toBe(400);
    expect(answer.body['error']).toBe('POST /echo: got the body "db=m"; want a JSON object');
    expect((await post('application/xml', '<db/>')).status).toBe(415);
  });
});
