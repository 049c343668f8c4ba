import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import type { NodeLocator } from '../catalog/node-directory.js';
import { decodeFrames } from '../codec/frame-stream.js';
import {
  type PeerMethod,
  parsePeerTimes,
  peerClockHeader,
  peerNodeHeader,
  peerPath,
  peerVersion,
  peerVersionHeader,
} from '../codec/peer-messages.js';
import { errorFromWire } from '../codec/wire-error.js';
import type { NodeId } from '../model/batch.js';
import type { Clock } from '../ports/clock.js';
import { errorMessage, isVarveError, VarveError } from '../std/errors.js';

export interface PeerClientOptions {
  readonly nodes: NodeLocator;
  /** The secret of the cluster. */
  readonly secret: string;
  /** Longest a connection may take to be made. Default 2 s. */
  readonly connectMsMax?: number;
  /** Longest a node may say nothing while an answer, or more of it, is awaited. Default 30 s. */
  readonly silenceMsMax?: number;
  /** Told how far a node's clock is from the one here, with every answer. */
  readonly clocks?: PeerClocks;
}

/** What compares clocks: the one here, and who wants to know. */
export interface PeerClocks {
  readonly clock: Pick<Clock, 'nowMs'>;
  /**
   * @param sample.offsetMs the node's wall clock less the one here
   * @param sample.uncertaintyMs half the time that the messages took: the offset is right within it
   */
  note(node: NodeId, sample: { readonly offsetMs: number; readonly uncertaintyMs: number }): void;
}

/** What a call sends: JSON, or the bytes of a batch. */
export type PeerBody = object | Uint8Array;

const answerBytesMax = 2 ** 28;
const connectionsMax = 64;
const retryAfterSeconds = 1;

/** The connection failed before an answer began: nothing is known of what the node did. */
class ConnectionLost extends Error {
  readonly reused: boolean;
  constructor(cause: unknown, reused: boolean) {
    super(errorMessage(cause), { cause });
    this.name = 'ConnectionLost';
    this.reused = reused;
  }
}

/**
 * Calls ingest nodes over their peer API, on connections that are kept. All calls may be repeated without harm, so one
 * that fails before its answer began is sent once more when the connection was an old one or the node has moved since.
 * Errors of the node keep their kind; a node that cannot be reached, refuses the secret or speaks another version is
 * `unavailable`, named with its address.
 */
export class PeerClient {
  readonly #nodes: NodeLocator;
  readonly #authorization: string;
  readonly #connectMsMax: number;
  readonly #silenceMsMax: number;
  readonly #clocks: PeerClocks | undefined;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });

  constructor(options: PeerClientOptions) {
    this.#nodes = options.nodes;
    this.#authorization = `Bearer ${options.secret}`;
    this.#connectMsMax = options.connectMsMax ?? 2000;
    this.#silenceMsMax = options.silenceMsMax ?? 30_000;
    this.#clocks = options.clocks;
  }

  /** Calls a method that answers with one JSON value. */
  async call(node: NodeId, method: PeerMethod, body: PeerBody, signal?: AbortSignal): Promise<unknown> {
    const { answer, source } = await this.#open(node, method, body, signal);
    const text = await this.#readText(answer, source, signal);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new VarveError('corrupt', `${source}: got an answer that is no JSON`, { cause: error });
    }
  }

  /** Calls a method that answers with pieces of bytes. Leaving the loop early ends the call on both sides. */
  async *stream(
    node: NodeId,
    method: PeerMethod,
    body: PeerBody,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { answer, source } = await this.#open(node, method, body, signal);
    yield* decodeFrames(this.#chunks(answer, source, signal), source);
  }

  /** Ends the connections; calls under way fail. */
  close(): void {
    this.#agent.destroy();
  }

  async #open(
    node: NodeId,
    method: PeerMethod,
    body: PeerBody,
    signal: AbortSignal | undefined,
  ): Promise<{ answer: IncomingMessage; source: string }> {
    signal?.throwIfAborted();
    let address = await this.#nodes.locate(node, signal);
    for (let attempt = 1; ; attempt++) {
      const source = `node ${node} at ${address}, ${method}`;
      try {
        const answer = await this.#send(address, node, method, body, signal, attempt > 1);
        if (answer.statusCode === 200) return { answer, source };
        throw refusal(await this.#readText(answer, source, signal), answer.statusCode, source);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof ConnectionLost || isVarveError(error, 'unavailable')) this.#nodes.forget(node);
        if (!(error instanceof ConnectionLost)) throw error;
        const before = address;
        address = await this.#nodes.locate(node, signal);
        if (attempt > 1 || !(error.reused || address !== before)) throw unreachable(source, error);
      }
    }
  }

  #send(
    address: string,
    node: NodeId,
    method: PeerMethod,
    body: PeerBody,
    signal: AbortSignal | undefined,
    onNewConnection: boolean,
  ): Promise<IncomingMessage> {
    const isBytes = body instanceof Uint8Array;
    const bytes = isBytes ? body : Buffer.from(JSON.stringify(body), 'utf8');
    const sentMs = this.#clocks?.clock.nowMs() ?? 0;
    return new Promise((resolve, reject) => {
      const request = sendRequest(new URL(peerPath(method), address), {
        method: 'POST',
        agent: onNewConnection ? false : this.#agent,
        headers: {
          authorization: this.#authorization,
          [peerVersionHeader]: peerVersion,
          [peerNodeHeader]: node,
          'content-type': isBytes ? 'application/octet-stream' : 'application/json',
          'content-length': bytes.length,
        },
        ...(signal === undefined ? {} : { signal }),
      });
      const end = (reason: string): void => void request.destroy(new Error(reason));
      let timer = setTimeout(end, this.#silenceMsMax, `no answer within ${this.#silenceMsMax} ms`);
      request.once('socket', (socket) => {
        if (!socket.connecting) return;
        clearTimeout(timer);
        timer = setTimeout(end, this.#connectMsMax, `no connection within ${this.#connectMsMax} ms`);
        socket.once('connect', () => {
          clearTimeout(timer);
          timer = setTimeout(end, this.#silenceMsMax, `no answer within ${this.#silenceMsMax} ms`);
        });
      });
      request.once('response', (answer) => {
        clearTimeout(timer);
        this.#compareClocks(node, sentMs, answer);
        resolve(answer);
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        reject(new ConnectionLost(error, request.reusedSocket));
      });
      request.end(bytes);
    });
  }

  /** By the four times of an exchange, as NTP (RFC 5905) does: how long the node worked does not matter. */
  #compareClocks(node: NodeId, sentMs: number, answer: IncomingMessage): void {
    const header = answer.headers[peerClockHeader];
    const times = parsePeerTimes(typeof header === 'string' ? header : undefined);
    if (this.#clocks === undefined || times === undefined) return;
    const gotMs = this.#clocks.clock.nowMs();
    const onTheWayMs = gotMs - sentMs - (times.answeredMs - times.receivedMs);
    this.#clocks.note(node, {
      offsetMs: (times.receivedMs - sentMs + (times.answeredMs - gotMs)) / 2,
      uncertaintyMs: Math.max(0, onTheWayMs) / 2 + 1,
    });
  }

  /** The chunks of an answer. The time between asking for one and its coming is bounded; a slow reader's is not. */
  async *#chunks(
    answer: IncomingMessage,
    source: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const iterator = answer[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    try {
      for (;;) {
        const timer = setTimeout(
          () => answer.destroy(new Error(`nothing came for ${this.#silenceMsMax} ms`)),
          this.#silenceMsMax,
        );
        const next = await iterator.next().finally(() => clearTimeout(timer));
        if (next.done === true) return;
        yield next.value;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(source, error);
    } finally {
      answer.destroy();
    }
  }

  async #readText(answer: IncomingMessage, source: string, signal: AbortSignal | undefined): Promise<string> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of this.#chunks(answer, source, signal)) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) {
        throw new VarveError('corrupt', `${source}: got more than ${answerBytesMax} bytes of answer`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}

function unreachable(source: string, error: unknown): VarveError {
  const message = `${source}: cannot be reached: ${errorMessage(error)}`;
  return new VarveError('unavailable', message, { retryAfterSeconds, cause: error });
}

/** The error of an answer that is no success. */
function refusal(text: string, status: number | undefined, source: string): VarveError {
  const error = errorFromWire(
    parseJson(text),
    `${source}: got status ${status}; want the peer API of a node`,
  );
  // Whose fault it is, the caller's caller cannot mend it: to him the node is not there.
  if (error.kind !== 'unauthenticated') return error;
  const message = `${source}: the secret was refused; want the same --cluster-secret-file for every process`;
  return new VarveError('unavailable', message, { cause: error });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page, perhaps: what cannot be read names no error.
    return undefined;
  }
}
