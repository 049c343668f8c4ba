import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The connections of a server, by whether a request is under way on them: stopping waits for requests, not for
 * clients. Node's own closing of idle connections leaves those on which nothing was sent yet, which browsers and
 * connection pools open ahead, and would wait for them a minute and more.
 */
export class OpenConnections {
  /** Requests under way on each. */
  readonly #requests = new Map<Socket, number>();
  #closing = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#requests.set(socket, 0);
      socket.once('close', () => this.#requests.delete(socket));
    });
    server.on('request', (request, response) => {
      this.#count(request.socket, 1);
      response.once('close', () => this.#count(request.socket, -1));
    });
  }

  /** Closes connections on which no request is under way, and from now on each when its last request is answered. */
  closeIdle(): void {
    this.#closing = true;
    for (const [socket, requests] of this.#requests) if (requests === 0) socket.destroy();
  }

  /** Closes all connections, whatever is under way; answers how many there were. */
  closeAll(): number {
    const count = this.#requests.size;
    for (const socket of this.#requests.keys()) socket.destroy();
    return count;
  }

  #count(socket: Socket, change: number): void {
    const requests = this.#requests.get(socket);
    if (requests === undefined) return;
    this.#requests.set(socket, requests + change);
    if (this.#closing && requests + change === 0) socket.destroySoon();
  }
}
