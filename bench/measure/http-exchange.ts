import http from 'node:http';

/** An answer with its whole body. */
export interface HttpAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

/** What to send. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly contentType?: string;
}

/** Kept-alive connections to one port of this machine: the client that every system is measured with. */
export class LoopbackClient {
  readonly port: number;
  readonly #agent: http.Agent;

  constructor(port: number, connections: number) {
    this.port = port;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  }

  exchange({ method, path, body, contentType }: HttpRequest): Promise<HttpAnswer> {
    const headers =
      body === undefined
        ? {}
        : { 'content-type': contentType ?? 'text/plain', 'content-length': body.length };
    const options = { host: '127.0.0.1', port: this.port, method, path, agent: this.#agent, headers };
    return new Promise((resolve, reject) => {
      const request = http.request(options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: response.headers['retry-after'],
            body: Buffer.concat(pieces),
          }),
        );
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  /** An exchange that must answer 2xx; the error names the status and the beginning of the body. */
  async expect(request: HttpRequest): Promise<Buffer> {
    const answer = await this.exchange(request);
    if (answer.status >= 200 && answer.status < 300) return answer.body;
    throw new Error(
      `${request.method} ${request.path.slice(0, 200)}: got ${answer.status} ${answer.body.toString().slice(0, 300)}; want 2xx`,
    );
  }

  async json(path: string): Promise<unknown> {
    return JSON.parse((await this.expect({ method: 'GET', path })).toString());
  }

  close(): void {
    this.#agent.destroy();
  }
}
