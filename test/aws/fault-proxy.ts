import { once } from 'node:events';
import {
  createServer,
  request as forward,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Emulator } from './emulators.js';

/** A request as the proxy sees it. */
export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** For DynamoDB the operation, as `UpdateItem`; for S3 empty. */
  readonly operation: string;
  /** For DynamoDB the sort key of the one item that is read or written; otherwise empty. */
  readonly key: string;
}

/** An answer of the service behind the proxy. */
export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * What befalls a request. While `meanwhile` runs, other requests wait: a client that tries again comes after it. `refused`: it never reaches the service. `answer-lost`: it does its work, `meanwhile` runs,
 * and its answer is replaced by what `by` says. `delayed`: it reaches the service later, and nobody hears its answer.
 * `changed`: its answer is changed. `cut`: its answer breaks off. `stalled`: its answer stops and `onStall` runs.
 */
export type HttpFault =
  | { readonly kind: 'refused'; readonly by: LostAnswer; readonly meanwhile?: () => Promise<void> }
  | { readonly kind: 'answer-lost'; readonly by: LostAnswer; readonly meanwhile?: () => Promise<void> }
  | { readonly kind: 'delayed'; readonly until: Promise<void>; readonly done: () => void }
  | { readonly kind: 'changed'; readonly change: (answer: ProxiedAnswer) => ProxiedAnswer }
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'stalled'; readonly afterBytes: number; readonly onStall: () => void };

/** `reset`: the connection breaks; `silence`: nothing comes; otherwise an answer. */
export type LostAnswer =
  | 'reset'
  | 'silence'
  | {
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** An HTTP proxy before an emulator, which makes requests suffer. */
export interface FaultProxy extends Emulator {
  /** Decides what befalls each request; undefined for nothing. */
  fault: (request: ProxiedRequest) => HttpFault | undefined;
  /** What came, in order. */
  readonly requests: ProxiedRequest[];
  /** Connections accepted so far. */
  connections(): number;
}

/** Answers of DynamoDB and S3 that tell of faults. */
export const awsAnswers = {
  dynamoDb: (type: string, status = 400): LostAnswer => ({
    status,
    body: JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: `this is ${type}` }),
    headers: { 'content-type': 'application/x-amz-json-1.0' },
  }),
  s3: (code: string, status: number, more = ''): LostAnswer => ({
    status,
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>this is ${code}</Message>${more}</Error>`,
    headers: { 'content-type': 'application/xml' },
  }),
};

/** Starts a proxy on a free loopback port; it forwards everything until `fault` says otherwise. */
export async function startFaultProxy(service: Emulator): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const requests: ProxiedRequest[] = [];
  let turn = Promise.resolve();
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => request.destroy());
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    await turn;
    const operation = String(request.headers['x-amz-target'] ?? '').replace(/^.*\./, '');
    const seen: ProxiedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      operation,
      key: keyOf(operation, body),
    };
    requests.push(seen);
    const fault = proxy.fault(seen);
    const suffered = suffer(fault, request, response, body);
    if (fault !== undefined && 'meanwhile' in fault) turn = suffered.catch(() => undefined);
    await suffered;
  };
  const suffer = async (
    fault: HttpFault | undefined,
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
  ): Promise<void> => {
    if (fault?.kind === 'refused') {
      await fault.meanwhile?.();
      return lose(response, fault.by);
    }
    if (fault?.kind === 'delayed') await fault.until;
    const answer = await send(service.endpoint, request, body);
    switch (fault?.kind) {
      case undefined:
        return give(response, answer, request.method);
      case 'changed':
        return give(response, fault.change(answer), request.method);
      case 'answer-lost':
        await fault.meanwhile?.();
        return lose(response, fault.by);
      case 'delayed':
        return fault.done();
      case 'cut':
        response.writeHead(answer.status, answer.headers);
        response.write(answer.body.subarray(0, fault.afterBytes), () => response.socket?.destroy());
        return;
      case 'stalled':
        response.writeHead(answer.status, answer.headers);
        response.write(answer.body.subarray(0, fault.afterBytes), fault.onStall);
    }
  };
  server.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: () => undefined,
    requests,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

/** The first requests that match suffer the faults, one each, in order; all others pass. */
export function inOrder(
  matches: (request: ProxiedRequest) => boolean,
  faults: readonly HttpFault[],
): FaultProxy['fault'] {
  const left = [...faults];
  return (request) => (matches(request) ? left.shift() : undefined);
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** The sort key that an operation on one item names. */
function keyOf(operation: string, body: Buffer): string {
  if (operation !== 'GetItem' && operation !== 'UpdateItem') return '';
  const { Key: key } = JSON.parse(body.toString()) as { Key?: { sk?: { S?: string } } };
  return key?.sk?.S ?? '';
}

async function send(endpoint: string, request: IncomingMessage, body: Buffer): Promise<ProxiedAnswer> {
  const { hostname, port } = new URL(endpoint);
  const forwarded = forward({
    hostname,
    port,
    path: request.url,
    method: request.method,
    headers: request.headers,
  });
  forwarded.end(body);
  const [answer] = (await once(forwarded, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await readBody(answer) };
}

function give(response: ServerResponse, answer: ProxiedAnswer, method: string | undefined): void {
  const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers;
  const length = method === 'HEAD' ? {} : { 'content-length': answer.body.length };
  response.writeHead(answer.status, { ...headers, ...length });
  response.end(answer.body);
}

function lose(response: ServerResponse, by: LostAnswer): void {
  if (by === 'silence') return;
  if (by === 'reset') {
    response.socket?.destroy();
    return;
  }
  response.writeHead(by.status, { ...by.headers, 'content-length': Buffer.byteLength(by.body) });
  response.end(by.body);
}
