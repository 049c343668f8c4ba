import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { errorBody } from '../../core/http/error-answer.js';

/** An answer of the HTTP server whose body is still to come. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/** Writes the head of a streamed answer and gives where its body goes: `awslambda.HttpResponseStream.from`. */
export type OpenBody = (
  stream: Writable,
  head: { readonly statusCode: number; readonly headers: Readonly<Record<string, string>> },
) => Writable;

/** What Lambda takes as a buffered answer is 6 MiB of JSON, the head included. */
export const bufferedBytesMax = 6 * 2 ** 20 - 64 * 2 ** 10;

/** Headers of a connection, which is not ours here. */
const connectionHeaders: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** The headers as one text each, without those of the connection. */
export function answerHeaders(
  headers: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): Record<string, string> {
  const entries = Object.entries(headers).filter(
    ([name, value]) => value !== undefined && !connectionHeaders.has(name),
  );
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

/** Streams the answer. Rejects when the body breaks off; Lambda then breaks the answer off, so that it is not taken for whole. */
export async function streamAnswer(answer: ServerAnswer, stream: Writable, open: OpenBody): Promise<void> {
  const body = open(stream, { statusCode: answer.status, headers: answer.headers });
  await pipeline(answer.body, body);
}

/**
 * The whole answer as one value: text as it is, all else in base64. One that does not fit becomes 413, which says what
 * would; `abandon` is then called, so that the query ends.
 */
export async function bufferAnswer(
  answer: ServerAnswer,
  abandon: () => void,
): Promise<APIGatewayProxyStructuredResultV2> {
  const isText = isTextType(answer.headers['content-type'] ?? '');
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer.body as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += isText ? jsonTextBytes(piece) : Math.ceil((piece.length * 4) / 3);
    if (bytes > bufferedBytesMax) {
      abandon();
      return tooLarge(answer);
    }
  }
  const body = Buffer.concat(pieces);
  return {
    statusCode: answer.status,
    headers: { ...answer.headers },
    body: isText ? body.toString('utf8') : body.toString('base64'),
    isBase64Encoded: !isText,
  };
}

function tooLarge(answer: ServerAnswer): APIGatewayProxyStructuredResultV2 {
  const requestId = answer.headers['x-request-id'];
  const message = `query: got an answer larger than the ${bufferedBytesMax} bytes that Lambda takes as one; want a smaller one (LIMIT, aggregation, format=parquet), or the function URL with response streaming`;
  return {
    statusCode: 413,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
    },
    body: JSON.stringify(errorBody('/api/v3/query_sql', 'too-large', message)),
    isBase64Encoded: false,
  };
}

function isTextType(type: string): boolean {
  return type === '' || /^(text\/|application\/(json|jsonl|x-ndjson|problem\+json))/.test(type);
}

/** Length of the text as the content of a JSON string: quotes, backslashes and control characters are escaped there. */
function jsonTextBytes(piece: Buffer): number {
  let bytes = piece.length;
  for (const byte of piece) {
    if (byte === 0x22 || byte === 0x5c || byte === 0x0a || byte === 0x0d || byte === 0x09) bytes += 1;
    else if (byte < 0x20) bytes += 5;
  }
  return bytes;
}
