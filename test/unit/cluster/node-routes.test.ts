import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { registerNodeRoutes } from '../../../core/http/node-routes.js';
import { errorTraits, isVarveError } from '../../../core/std/errors.js';
import { node, openCatalog, settingsWith } from '../catalog/fixture.js';

async function setUp() {
  const catalog = openCatalog();
  const server = Fastify();
  registerNodeRoutes(server, { nodes: catalog.nodes, inFlux: catalog, clock: catalog.clock });
  server.setErrorHandler((error, _request, reply) => {
    const status = isVarveError(error) ? errorTraits[error.kind].httpStatus : 500;
    return reply.status(status).send({ error: error instanceof Error ? error.message : 'unknown' });
  });
  for (const name of ['n1', 'n2', 'n3']) await catalog.nodes.register(node(name), `http://${name}:1`);
  const database = await catalog.databases.ensure('d', settingsWith({ replication: 2 }));
  const owners = [{ owners: [node('n1'), node('n2')] }, { owners: [node('n2'), node('n3')] }];
  const { outcome } = await catalog.groups.openSpillGroup(database, 'late', {
    nowMs: catalog.clock.nowMs(),
    assign: () => owners,
  });
  return { ...catalog, server, database, group: outcome.id };
}

const post = (server: FastifyInstance, path: string, payload: object = {}) =>
  server.inject({ method: 'POST', url: `/api/v1/nodes/${path}`, payload });

async function shown(server: FastifyInstance): Promise<readonly Record<string, unknown>[]> {
  return (await server.inject({ url: '/api/v1/nodes' })).json().nodes;
}

describe('the routes of nodes', () => {
  it('show each node with its last heartbeat, what it owns and what it keeps for others', async () => {
    const { server, nodes, clock, groups, database, group } = await setUp();
    await clock.advance(2500);
    await nodes.heartbeat(node('n2'), 1, undefined, { count: 2, bytes: 100 });
    await clock.advance(500);
    expect(await shown(server)).toMatchObject([
      {
        node: 'n1',
        epoch: 1,
        state: 'live',
        address: 'http://n1:1',
        heartbeat_age_seconds: 3,
        groups_owned: 1,
        hints: 0,
        hint_bytes: 0,
      },
      { node: 'n2', heartbeat_age_seconds: 0.5, groups_owned: 1, hints: 2, hint_bytes: 100 },
      { node: 'n3', groups_owned: 1 },
    ]);
    const stamp = { nowMs: clock.nowMs(), epoch: 1 };
    await groups.close(database, [group], stamp);
    await groups.seal(database, group, [], stamp);
    await groups.release(database, group, [node('n3')]);
    expect((await shown(server)).map((row) => row['groups_owned'])).toEqual([1, 1, 0]);
  });

  it('drain a node, as often as asked, but not the last one that lives', async () => {
    const { server, clock, nodes } = await setUp();
    expect((await post(server, 'drain', { node: 'n1' })).json()).toMatchObject({
      state: 'draining',
      groups_owned: 1,
    });
    expect((await post(server, 'drain', { node: 'n1' })).statusCode).toBe(200);
    await clock.advance(16_000);
    await nodes.heartbeat(node('n2'), 1);
    const last = await post(server, 'drain', { node: 'n2' });
    expect(last.statusCode).toBe(409);
    expect(last.json().error).toContain('no other node is live');
    expect((await post(server, 'drain', { node: 'n9' })).statusCode).toBe(404);
    expect((await post(server, 'drain')).json().error).toContain('want {"node": "name"}');
  });

  it('declare a node lost that has been silent for a while, and no other', async () => {
    const { server, clock, nodes } = await setUp();
    const soon = await post(server, 'forget', { node: 'n1' });
    expect(soon.statusCode).toBe(409);
    expect(soon.json().error).toContain('want silence of 15000 ms');
    await clock.advance(15_000);
    expect((await post(server, 'forget', { node: 'n1' })).json()).toMatchObject({ state: 'lost' });
    const drained = await post(server, 'drain', { node: 'n1' });
    expect(drained.statusCode).toBe(409);
    expect(drained.json().error).toBe('node n1 is lost; want it live');
    expect(await nodes.heartbeat(node('n1'), 1)).toMatchObject({ kind: 'superseded' });
    expect((await post(server, 'forget', { node: 'n9' })).statusCode).toBe(404);
  });
});
