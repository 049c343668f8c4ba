import { connect } from 'node:net';

/** An answer with its whole body. */
export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The parsed JSON; undefined where the body is none. Integers past 2^53 lose digits: read those from `text`. */
  readonly body: unknown;
}

/** What is sent. */
export interface ExchangeRequest {
  readonly method?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes or text as they are, a stream chunked, anything else as JSON. */
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array> | object;
  readonly signal?: AbortSignal;
}

/** Sends a request as a stranger's client would and takes the answer as it is, failures too. */
export async function exchange(
  server: { readonly url: string },
  path: string,
  request: ExchangeRequest = {},
): Promise<Exchange> {
  const url = new URL(server.url + path);
  for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
  const { body } = request;
  const isRaw = typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream;
  const json = body !== undefined && !isRaw ? { 'content-type': 'application/json' } : undefined;
  const init: RequestInit & { duplex?: 'half' } = {
    method: request.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...json, ...request.headers },
  };
  if (body !== undefined) init.body = isRaw ? body : JSON.stringify(body);
  if (body instanceof ReadableStream) init.duplex = 'half';
  if (request.signal !== undefined) init.signal = request.signal;
  const response = await fetch(url, init);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  return { status: response.status, headers: response.headers, bytes, text, body: parsed(text) };
}

/** Sends bytes over a connection of their own and breaks it off; resolves when it is closed. */
export function sendAndBreakOff(server: { readonly url: string }, bytes: string | Uint8Array): Promise<void> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(bytes, (error) => (error ? reject(error) : socket.destroy()));
    });
    socket.once('error', reject).once('close', () => resolve());
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
