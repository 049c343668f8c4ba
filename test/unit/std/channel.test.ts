import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { ChannelClient, type ChannelHandlers, serveChannel } from '../../../core/std/channel.js';
import { VarveError } from '../../../core/std/errors.js';

const open: MessagePort[] = [];
afterEach(() => {
  for (const port of open.splice(0)) port.close();
});

function connect(handlers: ChannelHandlers): {
  readonly client: ChannelClient;
  readonly stop: () => void;
  readonly clientPort: MessagePort;
  readonly serverPort: MessagePort;
} {
  const { port1: serverPort, port2: clientPort } = new MessageChannel();
  open.push(serverPort, clientPort);
  const stop = serveChannel(serverPort, 'test', handlers);
  return { client: new ChannelClient(clientPort, 'test'), stop, clientPort, serverPort };
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<number[][]> {
  const all: number[][] = [];
  for await (const piece of pieces) all.push([...piece]);
  return all;
}

/** A promise and the function that resolves it. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

describe('calls over a channel', () => {
  it('carry bigints and bytes both ways', async () => {
    const { client } = connect({ echo: async (value: unknown) => value });
    const value = { big: 2n ** 63n, bytes: Uint8Array.of(1, 2), nothing: null, list: [1n] };
    expect(await client.call('echo', value)).toEqual(value);
  });

  it('are answered each with its own result, whatever the order of answers', async () => {
    const gates = [gate(), gate()];
    const { client } = connect({
      wait: async (index: number) => {
        await gates[index]?.opened;
        return index;
      },
    });
    const answers = [client.call('wait', 0), client.call('wait', 1)];
    gates[1]?.open();
    expect(await answers[1]).toBe(1);
    gates[0]?.open();
    expect(await answers[0]).toBe(0);
  });

  it('keep the kind, message and time to retry of errors', async () => {
    const { client } = connect({
      full: async () => {
        throw new VarveError('unavailable', 'full', { retryAfterSeconds: 7 });
      },
      bug: () => {
        throw new TypeError('oops');
      },
    });
    await expect(client.call('full', 0)).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'full',
      retryAfterSeconds: 7,
    });
    await expect(client.call('bug', 0)).rejects.toMatchObject({ kind: 'internal', message: 'oops' });
    await expect(client.call('missing', 0)).rejects.toMatchObject({ kind: 'internal' });
  });

  it('fail when the argument or the answer cannot be sent', async () => {
    const { client } = connect({ odd: async () => () => 1, echo: async (value: unknown) => value });
    await expect(client.call('odd', 0)).rejects.toMatchObject({ kind: 'internal' });
    await expect(client.call('echo', () => 1)).rejects.toThrow('could not be cloned');
    expect(await client.call('echo', 3)).toBe(3);
  });

  it('reject at once when aborted, and abort the handler', async () => {
    const started = gate();
    const aborted = gate();
    const { client } = connect({
      slow: async (_: number, signal) => {
        started.open();
        signal.addEventListener('abort', aborted.open, { once: true });
        return untilAborted(signal);
      },
    });
    const abort = new AbortController();
    const answer = client.call('slow', 0, abort.signal);
    await started.opened;
    abort.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
    await aborted.opened;
    await expect(client.call('slow', 0, abort.signal)).rejects.toThrow('enough');
  });

  it('fail with unavailable when the client is closed, before and after', async () => {
    const { client } = connect({ slow: (_: number, signal) => untilAborted(signal) });
    const answer = client.call('slow', 0);
    client.close('the thread ended');
    await expect(answer).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(client.call('slow', 0)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(collect(client.stream('slow', 0))).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('work in both directions over one port under one name', async () => {
    const { client, clientPort, serverPort } = connect({ name: async () => 'server' });
    const back = new ChannelClient(serverPort, 'test');
    serveChannel(clientPort, 'test', { name: async () => 'client' });
    expect(await Promise.all([client.call('name', 0), back.call('name', 0)])).toEqual(['server', 'client']);
  });

  it('fail when the method answers in the other way', async () => {
    const { client } = connect({
      once: async () => 1,
      many: async function* () {
        yield Uint8Array.of(1);
      },
    });
    await expect(client.call('many', 0)).rejects.toMatchObject({ kind: 'internal' });
    await expect(collect(client.stream('once', 0))).rejects.toMatchObject({ kind: 'internal' });
  });
});

describe('streams over a channel', () => {
  it('bring every piece in order, also many and empty ones', async () => {
    const { client } = connect({
      count: async function* (upTo: number) {
        for (let at = 0; at < upTo; at++) yield Uint8Array.of(at);
        yield new Uint8Array(0);
      },
    });
    const pieces = await collect(client.stream('count', 100));
    expect(pieces).toEqual([...Array.from({ length: 100 }, (_, at) => [at]), []]);
  });

  it('bring the piece that the generator returns, alone or as the last', async () => {
    const { client } = connect({
      last: async function* (upTo: number) {
        for (let at = 0; at < upTo; at++) yield Uint8Array.of(at);
        return Uint8Array.of(7);
      },
    });
    expect(await collect(client.stream('last', 0))).toEqual([[7]]);
    const pieces = await collect(client.stream('last', 20));
    expect(pieces).toEqual([...Array.from({ length: 20 }, (_, at) => [at]), [7]]);
  });

  it('move a piece that owns its buffer and copy a view of a larger one', async () => {
    const whole = Uint8Array.of(1, 2, 3);
    const larger = Uint8Array.of(4, 5, 6);
    const { client } = connect({
      pieces: async function* () {
        yield whole;
        yield larger.subarray(1);
      },
    });
    expect(await collect(client.stream('pieces', 0))).toEqual([
      [1, 2, 3],
      [5, 6],
    ]);
    expect(whole.length).toBe(0);
    expect([...larger]).toEqual([4, 5, 6]);
  });

  it('let the server be at most four pieces ahead of the reader', async () => {
    let made = 0;
    const { client } = connect({
      endless: async function* () {
        for (;;) yield Uint8Array.of(made++ & 255);
      },
      // Answered after everything the server could do before it has been done.
      settle: async () => {
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      },
    });
    const stream = client.stream('endless', 0);
    for (let taken = 1; taken <= 10; taken++) {
      await stream.next();
      await client.call('settle', 0);
      // Four credits, one for each piece taken, and the piece that waits for a credit.
      expect(made).toBe(4 + taken + 1);
    }
    await stream.return(undefined);
  });

  it('end the handler when the reader leaves early', async () => {
    const ended = gate();
    const { client } = connect({
      endless: async function* () {
        try {
          for (;;) yield Uint8Array.of(1);
        } finally {
          ended.open();
        }
      },
    });
    for await (const _ of client.stream('endless', 0)) break;
    await ended.opened;
  });

  it('throw the error of the handler after the pieces before it', async () => {
    const { client } = connect({
      failing: async function* () {
        yield Uint8Array.of(1);
        throw new VarveError('not-found', 'gone');
      },
    });
    const stream = client.stream('failing', 0);
    expect((await stream.next()).value).toEqual(Uint8Array.of(1));
    await expect(stream.next()).rejects.toMatchObject({ kind: 'not-found', message: 'gone' });
  });

  it('fail when aborted while they wait', async () => {
    const aborted = gate();
    const { client } = connect({
      silent: async function* (_: number, signal) {
        signal.addEventListener('abort', aborted.open, { once: true });
        yield await untilAborted(signal);
      },
    });
    const abort = new AbortController();
    const next = client.stream('silent', 0, abort.signal).next();
    abort.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await aborted.opened;
  });

  it('fail when the server stops while the reader waits for more', async () => {
    const paused = gate();
    const { client, stop } = connect({
      endless: async function* () {
        for (let at = 0; ; at++) {
          if (at === 5) paused.open();
          yield Uint8Array.of(at);
        }
      },
    });
    const stream = client.stream('endless', 0);
    await stream.next();
    await paused.opened;
    stop();
    await expect(collect(stream)).rejects.toMatchObject({ kind: 'cancelled' });
  });

  it('fail with unavailable when the client is closed', async () => {
    const { client } = connect({
      silent: async function* (_: number, signal) {
        yield await untilAborted(signal);
      },
    });
    const next = client.stream('silent', 0).next();
    client.close('the thread ended');
    await expect(next).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
