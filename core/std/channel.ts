import type { MessagePort, Transferable, Worker } from 'node:worker_threads';
import { type ErrorKind, errorMessage, VarveError } from './errors.js';

/**
 * Calls and byte streams over a message port, between threads of one process. A stream is paced by credits: the
 * server sends at most `streamCredits` pieces that the client has not taken yet.
 */
export type ChannelPort = MessagePort | Worker | ChannelParent;

/** The part of a port that a channel uses. */
export interface ChannelParent {
  postMessage(value: unknown, transfer?: readonly Transferable[]): void;
  on(event: 'message', listener: (value: unknown) => void): unknown;
  off(event: 'message', listener: (value: unknown) => void): unknown;
}

/**
 * Answers one method: with a value, or with pieces of bytes. The signal is aborted when the caller goes away. A piece
 * that the generator returns at its end goes with the message that ends the stream: a short answer takes one message.
 */
export type ChannelHandler = (
  argument: never,
  signal: AbortSignal,
) => Promise<unknown> | AsyncIterable<Uint8Array, unknown>;
/** Handlers by method. */
export type ChannelHandlers = Readonly<Record<string, ChannelHandler>>;

const streamCredits = 4;

interface WireError {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly retryAfterSeconds: number | undefined;
}

type Message =
  | {
      readonly channel: string;
      readonly type: 'call';
      readonly id: number;
      readonly method: string;
      readonly argument: unknown;
    }
  | { readonly channel: string; readonly type: 'cancel' | 'credit'; readonly id: number }
  | { readonly channel: string; readonly type: 'end'; readonly id: number; readonly bytes?: Uint8Array }
  | { readonly channel: string; readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly channel: string; readonly type: 'piece'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly channel: string; readonly type: 'error'; readonly id: number; readonly error: WireError };

function isMessage(value: unknown, channel: string): value is Message {
  return typeof value === 'object' && value !== null && 'channel' in value && value.channel === channel;
}

/** Whether a message is for the calling side; a port may serve a channel of the same name in the other direction. */
function isAnswer(message: Message): boolean {
  return message.type !== 'call' && message.type !== 'cancel' && message.type !== 'credit';
}

/** Answers calls that come in on `port` under the channel's name. Returns a function that stops answering and cancels what runs. */
export function serveChannel(port: ChannelParent, channel: string, handlers: ChannelHandlers): () => void {
  const running = new Map<number, { readonly abort: AbortController; credits: number; wake: () => void }>();
  const send = (message: Message, transfer: readonly Transferable[] = []): void =>
    port.postMessage(message, transfer);

  const pump = async (id: number, pieces: AsyncIterable<Uint8Array, unknown>): Promise<void> => {
    const call = running.get(id);
    if (call === undefined) return;
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      for (;;) {
        const step = await iterator.next();
        if (step.done === true) {
          // Needs no credit: nothing comes after it.
          if (!(step.value instanceof Uint8Array)) send({ channel, type: 'end', id });
          else send({ channel, type: 'end', id, bytes: step.value }, movable(step.value));
          return;
        }
        while (call.credits === 0 && !call.abort.signal.aborted) {
          await new Promise<void>((resolve) => {
            call.wake = resolve;
          });
        }
        // Stopped by this side, the caller still waits and must be told; one that went away ignores it.
        call.abort.signal.throwIfAborted();
        call.credits -= 1;
        send({ channel, type: 'piece', id, bytes: step.value }, movable(step.value));
      }
    } catch (error) {
      await iterator.return?.();
      throw error;
    }
  };

  const answer = async (id: number, method: string, argument: unknown): Promise<void> => {
    const abort = new AbortController();
    running.set(id, { abort, credits: streamCredits, wake: () => {} });
    try {
      const handler = handlers[method];
      if (handler === undefined) throw new VarveError('internal', `channel ${channel}: no method ${method}`);
      const outcome = handler(argument as never, abort.signal);
      if (Symbol.asyncIterator in outcome) await pump(id, outcome);
      else send({ channel, type: 'result', id, value: await outcome });
    } catch (error) {
      send({ channel, type: 'error', id, error: toWire(error) });
    } finally {
      running.delete(id);
    }
  };

  const listener = (value: unknown): void => {
    if (!isMessage(value, channel)) return;
    if (value.type === 'call') void answer(value.id, value.method, value.argument);
    const call = running.get(value.id);
    if (call === undefined) return;
    if (value.type === 'cancel') call.abort.abort(new VarveError('cancelled', 'the caller went away'));
    if (value.type === 'credit') call.credits += 1;
    if (value.type === 'cancel' || value.type === 'credit') call.wake();
  };
  port.on('message', listener);
  return () => {
    port.off('message', listener);
    for (const call of running.values()) {
      call.abort.abort(new VarveError('cancelled', 'the server stopped'));
      call.wake();
    }
  };
}

interface PendingCall {
  readonly onMessage: (message: Message) => void;
  readonly onClosed: (error: VarveError) => void;
}

/** The calling side of a channel: one for each port and channel. Errors keep their kind. */
export class ChannelClient {
  readonly #port: ChannelParent;
  readonly #channel: string;
  readonly #pending = new Map<number, PendingCall>();
  readonly #listener: (value: unknown) => void;
  #nextId = 1;
  #closed: VarveError | undefined;

  constructor(port: ChannelParent, channel: string) {
    this.#port = port;
    this.#channel = channel;
    this.#listener = (value) => {
      if (isMessage(value, channel) && isAnswer(value)) this.#pending.get(value.id)?.onMessage(value);
    };
    port.on('message', this.#listener);
  }

  /** Calls a method that answers once. `argument` and the answer are structured-cloned. */
  call<Result>(
    method: string,
    argument: unknown,
    signal?: AbortSignal,
    transfer: readonly Transferable[] = [],
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed;
      signal?.throwIfAborted();
      const settle = (): void => {
        this.#pending.delete(id);
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        settle();
        this.#post({ channel: this.#channel, type: 'cancel', id });
        reject(signal?.reason);
      };
      const id = this.#open({
        onMessage: (message) => {
          settle();
          if (message.type === 'result') resolve(message.value as Result);
          else if (message.type === 'error') reject(fromWire(message.error));
          else reject(this.#mismatch(method, message));
        },
        onClosed: (error) => {
          settle();
          reject(error);
        },
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        this.#post({ channel: this.#channel, type: 'call', id, method, argument }, transfer);
      } catch (error) {
        settle();
        throw error;
      }
    });
  }

  /** Calls a method that answers with pieces of bytes. Leaving the loop early cancels the call. */
  async *stream(
    method: string,
    argument: unknown,
    signal?: AbortSignal,
    transfer: readonly Transferable[] = [],
  ): AsyncGenerator<Uint8Array> {
    if (this.#closed !== undefined) throw this.#closed;
    signal?.throwIfAborted();
    const queue: Message[] = [];
    let failure: { readonly error: unknown } | undefined;
    let wake = (): void => {};
    let finished = false;
    const id = this.#open({
      onMessage: (message) => {
        queue.push(message);
        wake();
      },
      onClosed: (error) => {
        failure = { error };
        wake();
      },
    });
    const onAbort = (): void => {
      failure = { error: signal?.reason };
      wake();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      this.#post({ channel: this.#channel, type: 'call', id, method, argument }, transfer);
      for (;;) {
        if (failure !== undefined) throw failure.error;
        const message = queue.shift();
        if (message === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (message.type === 'error' || message.type === 'end') finished = true;
        if (message.type === 'error') throw fromWire(message.error);
        if (message.type === 'end') {
          if (message.bytes !== undefined) yield message.bytes;
          return;
        }
        if (message.type !== 'piece') throw this.#mismatch(method, message);
        this.#post({ channel: this.#channel, type: 'credit', id });
        yield message.bytes;
      }
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener('abort', onAbort);
      if (!finished) this.#post({ channel: this.#channel, type: 'cancel', id });
    }
  }

  /** Ends every pending call with `unavailable`; for when the other side has gone. */
  close(reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = new VarveError('unavailable', `channel ${this.#channel}: ${reason}`);
    this.#port.off('message', this.#listener);
    for (const pending of [...this.#pending.values()]) pending.onClosed(this.#closed);
    this.#pending.clear();
  }

  #mismatch(method: string, message: Message): VarveError {
    return new VarveError(
      'internal',
      `channel ${this.#channel}: method ${method} got a message of type ${message.type}; want one value of call(), pieces of stream()`,
    );
  }

  #open(pending: PendingCall): number {
    const id = this.#nextId++;
    this.#pending.set(id, pending);
    return id;
  }

  #post(message: Message, transfer: readonly Transferable[] = []): void {
    if (this.#closed === undefined) this.#port.postMessage(message, transfer);
  }
}

/** A piece that owns its whole buffer is moved; a view of a larger one is copied by the port. */
function movable(piece: Uint8Array): readonly ArrayBuffer[] {
  const owns = piece.buffer instanceof ArrayBuffer && piece.byteLength === piece.buffer.byteLength;
  return owns ? [piece.buffer as ArrayBuffer] : [];
}

function toWire(error: unknown): WireError {
  const known = error instanceof VarveError;
  return {
    kind: known ? error.kind : 'internal',
    message: errorMessage(error),
    retryAfterSeconds: known ? error.retryAfterSeconds : undefined,
  };
}

function fromWire(error: WireError): VarveError {
  const details = error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds };
  return new VarveError(error.kind, error.message, details);
}
