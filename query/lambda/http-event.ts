import type { APIGatewayProxyEventV2, LambdaFunctionURLEvent } from 'aws-lambda';

/** An HTTP request as API Gateway (payload format 2.0) and function URLs hand it over; they differ in who sends it. */
export type HttpEvent = APIGatewayProxyEventV2 | LambdaFunctionURLEvent;

/** A request as the HTTP server takes it. */
export interface EventRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  /** Path and query string. */
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly payload?: Buffer;
}

/** The request of an event. A stage other than the default stands before the path and is taken off. */
export function requestOfEvent(event: HttpEvent): EventRequest {
  const { http, stage } = event.requestContext;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(event.headers)) {
    // The body's length is that of what the event holds, however it was sent.
    if (value !== undefined && name.toLowerCase() !== 'content-length') headers[name] = value;
  }
  if (event.cookies !== undefined) headers['cookie'] = event.cookies.join('; ');
  const query = event.rawQueryString === '' ? '' : `?${event.rawQueryString}`;
  return {
    method: http.method.toUpperCase() as EventRequest['method'],
    url: `${pathWithoutStage(event.rawPath, stage)}${query}`,
    headers,
    ...(event.body === undefined
      ? {}
      : { payload: Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8') }),
  };
}

/** Whether the event came over a function URL, the only way by which an answer can be streamed. */
export function isFunctionUrlEvent(event: HttpEvent): boolean {
  return /\.lambda-url\.[a-z0-9-]+\.on\.aws$/.test(event.requestContext.domainName);
}

function pathWithoutStage(path: string, stage: string): string {
  if (stage === '$default') return path;
  const prefix = `/${stage}`;
  if (path === prefix) return '/';
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}
