import { readFileSync } from 'node:fs';
import { VarveError } from '../../core/std/errors.js';

/** Where a server is and how to be let in. */
export interface ClientOptions {
  readonly url: string;
  readonly tokenFile?: string;
}

/** A server's answer that is no success. */
export class ApiError extends Error {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, message: string, body: unknown, retryAfterSeconds: number | undefined) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.body = body;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Calls the HTTP API of a running server. */
export class ApiClient {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: ClientOptions) {
    this.#url = options.url.replace(/\/+$/, '');
    this.#headers =
      options.tokenFile === undefined
        ? {}
        : {
            authorization: `Bearer ${readFileSync(options.tokenFile, 'utf8').trim().split('\n')[0]?.trim() ?? ''}`,
          };
  }

  /** Sends a request; answers are given as they are, failures as ApiError with the server's own words. */
  async request(
    path: string,
    init: {
      readonly method?: string;
      readonly query?: Readonly<Record<string, string | undefined>>;
      readonly body?: Uint8Array | object;
      readonly headers?: Readonly<Record<string, string>>;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<Response> {
    const url = new URL(this.#url + path);
    for (const [name, value] of Object.entries(init.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, value);
    const isBytes = init.body instanceof Uint8Array;
    const request: RequestInit = {
      method: init.method ?? 'GET',
      headers: {
        ...this.#headers,
        ...(init.body !== undefined && !isBytes ? { 'content-type': 'application/json' } : {}),
        ...init.headers,
      },
    };
    if (init.body !== undefined)
      request.body = init.body instanceof Uint8Array ? init.body : JSON.stringify(init.body);
    if (init.signal !== undefined) request.signal = init.signal;
    let response: Response;
    try {
      response = await fetch(url, request);
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new VarveError('unavailable', `no answer from ${this.#url}: is the server running there?`, {
        cause: error,
      });
    }
    if (response.ok || response.status === 304) return response;
    throw await apiError(response);
  }

  /** The JSON of a successful answer. */
  async json(path: string, init: Parameters<ApiClient['request']>[1] = {}): Promise<unknown> {
    return (await this.request(path, init)).json();
  }
}

async function apiError(response: Response): Promise<ApiError> {
  const text = await response.text();
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  let body: unknown = text;
  let message = text.trim() === '' ? response.statusText : text;
  try {
    body = JSON.parse(text);
    if (typeof body === 'object' && body !== null) {
      const { error, message: other } = body as { error?: unknown; message?: unknown };
      if (typeof error === 'string') message = error;
      else if (typeof other === 'string') message = other;
    }
  } catch {
    // Not JSON (a proxy's page, perhaps): the text itself is the best message there is.
    body = text;
  }
  return new ApiError(response.status, message, body, Number.isFinite(retryAfter) ? retryAfter : undefined);
}
