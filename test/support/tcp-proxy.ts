import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a link treats what goes over it. */
export interface LinkState {
  /** Connections break, and new ones are refused. */
  readonly isCut: boolean;
  /** Bytes are taken and not handed on until the link moves again. */
  readonly isStalled: boolean;
  /** Each piece comes so much later. */
  readonly delayMs: number;
  /** Null for as fast as it goes. */
  readonly bytesPerSecond: number | null;
}

/** A link on which nothing is wrong. */
export const soundLink: LinkState = { isCut: false, isStalled: false, delayMs: 0, bytesPerSecond: null };

interface Connection {
  /** Undefined while it is not known: a process that is starting is not named yet. */
  source: string | undefined;
  readonly port: number;
  readonly sockets: readonly [Socket, Socket];
}

/** Names the source of a connection by its port, and by that of the proxy; undefined when it cannot yet. */
export type SourceOf = (port: number, proxyPort: number) => string | undefined;

/**
 * A TCP proxy before one server. Each source of connections has a link of its own, which can be cut, stalled, delayed
 * and throttled while it is in use.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #sourceOf: SourceOf;
  readonly #links = new Map<string, LinkState>();
  readonly #connections = new Set<Connection>();
  #onMoving: (() => void)[] = [];

  private constructor(targetPort: number, sourceOf: SourceOf) {
    this.#targetPort = targetPort;
    this.#sourceOf = sourceOf;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Listens on a free loopback port. */
  static async start(targetPort: number, sourceOf: SourceOf): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort, sourceOf);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Changes the link from a source; what is not named becomes sound. */
  set(source: string, state: Partial<LinkState>): void {
    const link = { ...soundLink, ...state };
    this.#links.set(source, link);
    if (link.isCut) {
      for (const connection of this.#connections)
        if (this.#source(connection) === source) breakOff(connection);
    }
    this.#wake();
  }

  /** Makes all links sound. */
  heal(): void {
    this.#links.clear();
    this.#wake();
  }

  async stop(): Promise<void> {
    this.heal();
    for (const connection of this.#connections) breakOff(connection);
    this.#server.close();
    await once(this.#server, 'close');
  }

  #source(connection: Connection): string | undefined {
    connection.source ??= this.#sourceOf(connection.port, this.port);
    return connection.source;
  }

  #link(connection: Connection): LinkState {
    if (this.#links.size === 0) return soundLink;
    const source = this.#source(connection);
    return (source === undefined ? undefined : this.#links.get(source)) ?? soundLink;
  }

  #accept(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: this.#targetPort });
    const port = client.remotePort ?? 0;
    const connection: Connection = { source: undefined, port, sockets: [client, server] };
    this.#connections.add(connection);
    for (const socket of connection.sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => breakOff(connection));
      socket.on('close', () => {
        breakOff(connection);
        this.#connections.delete(connection);
      });
    }
    this.#source(connection);
    if (this.#link(connection).isCut) {
      breakOff(connection);
      return;
    }
    void this.#pump(connection, client, server);
    void this.#pump(connection, server, client);
  }

  /** Hands on what comes, piece by piece: a link that is slow holds the sender back. */
  async #pump(connection: Connection, from: Socket, to: Socket): Promise<void> {
    try {
      for await (const piece of from) {
        while (this.#link(connection).isStalled) await this.#moving();
        const { delayMs, bytesPerSecond } = this.#link(connection);
        const bytes = piece as Uint8Array;
        const waitMs = delayMs + (bytesPerSecond === null ? 0 : (bytes.length * 1000) / bytesPerSecond);
        if (waitMs > 0) await sleep(waitMs);
        if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      to.end();
    } catch {
      // The connection broke; both its ends are closed by then.
    }
  }

  #moving(): Promise<void> {
    return new Promise((resolve) => this.#onMoving.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#onMoving.splice(0)) resolve();
  }
}

function breakOff({ sockets }: Connection): void {
  for (const socket of sockets) socket.destroy();
}
