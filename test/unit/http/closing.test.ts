import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { noAuthentication } from '../../../core/http/authentication.js';
import { createHttpServer } from '../../../core/http/server.js';
import { silentLogger } from '../../../core/std/logger.js';

interface Listening {
  readonly server: FastifyInstance;
  readonly clock: SimulatedClock;
  readonly port: number;
}

/** A server with a route that answers when it is told to. */
async function listening(answer: Promise<string>): Promise<Listening> {
  const clock = new SimulatedClock({ startMs: 0 });
  const server = createHttpServer({
    authentication: noAuthentication,
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    closeGraceMs: 1000,
  });
  server.get('/answer', () => answer);
  server.post('/upload', async () => 'whole');
  await server.listen({ host: '127.0.0.1', port: 0 });
  const address = server.server.address();
  return { server, clock, port: typeof address === 'object' ? (address?.port ?? 0) : 0 };
}

async function connected({ server, port }: Listening): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(server.server, 'connection');
  return socket;
}

// The library alone closes such a connection too, after a minute: hence the limit.
it('closing does not wait for a connection on which nothing was sent', { timeout: 15_000 }, async () => {
  const test = await listening(Promise.resolve(''));
  const socket = await connected(test);
  socket.resume();
  const ended = once(socket, 'close');
  await test.server.close();
  await ended;
});

it('closing waits for a request under way', async () => {
  let answer = (_text: string): void => {};
  const test = await listening(
    new Promise((resolve) => {
      answer = resolve;
    }),
  );
  const socket = await connected(test);
  socket.write('GET /answer HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(test.server.server, 'request');
  const closed = test.server.close();
  answer('answered after all');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  expect(bytes.toString()).toMatch(/^HTTP\/1.1 200 [\s\S]*answered after all$/);
  await closed;
});

it('closing cuts off a request that does not end in time', async () => {
  const test = await listening(Promise.resolve(''));
  const socket = await connected(test);
  socket.resume();
  const ended = once(socket, 'close');
  socket.write(
    'POST /upload HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  await once(test.server.server, 'request');
  const closed = test.server.close();
  // Closing sets its timer after some turns of the loop.
  while (test.clock.sleeperCount === 0) await new Promise((resolve) => setImmediate(resolve));
  await test.clock.advance(1000);
  await ended;
  await closed;
});
