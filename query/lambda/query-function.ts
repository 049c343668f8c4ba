import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import type { FastifyInstance } from 'fastify';
import {
  answerHeaders,
  bufferAnswer,
  type OpenBody,
  type ServerAnswer,
  streamAnswer,
} from './http-answer.js';
import { type HttpEvent, isFunctionUrlEvent, requestOfEvent } from './http-event.js';

/**
 * The HTTP server as a function: what a request over the network would be answered, an event is answered. There is no
 * socket in between, so the routes, the parameters, the headers and the errors are those of the server itself.
 */
export class QueryFunction {
  readonly #server: FastifyInstance;

  constructor(server: FastifyInstance) {
    this.#server = server;
  }

  /** Answers with one value. */
  async buffered(event: HttpEvent): Promise<APIGatewayProxyStructuredResultV2> {
    const abort = new AbortController();
    return bufferAnswer(await this.#answer(event, abort.signal), () => abort.abort());
  }

  /**
   * Answers into the stream that Lambda gives. What came by API Gateway is written as the one JSON value that it
   * expects: it takes no streams.
   */
  async streamed(event: HttpEvent, stream: Writable, open: OpenBody): Promise<void> {
    if (!isFunctionUrlEvent(event)) {
      await pipeline([JSON.stringify(await this.buffered(event))], stream);
      return;
    }
    const abort = new AbortController();
    try {
      await streamAnswer(await this.#answer(event, abort.signal), stream, open);
    } catch (error) {
      abort.abort();
      throw error;
    }
  }

  async #answer(event: HttpEvent, signal: AbortSignal): Promise<ServerAnswer> {
    const response = await this.#server.inject({ ...requestOfEvent(event), payloadAsStream: true, signal });
    return {
      status: response.statusCode,
      headers: answerHeaders(response.headers),
      body: response.stream(),
    };
  }
}
