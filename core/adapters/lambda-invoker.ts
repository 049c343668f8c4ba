import { createHash, createHmac } from 'node:crypto';
import { VarveError } from '../std/errors.js';

/** A function on AWS Lambda, and as whom it is invoked. */
export interface LambdaInvokerOptions {
  /** Name or ARN. */
  readonly functionName: string;
  readonly region: string;
  /** Another endpoint than that of the region. */
  readonly endpoint?: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}

const answerMsMax = 5000;
const service = 'lambda';

/**
 * Hands an event to a function without waiting for what comes of it: one POST, signed here, because the SDK's client for
 * it would make the function's code half as large again for one call. Errors: `unavailable`, naming function and status.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html,
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 *
 * @param nowMs wall clock, which AWS wants to be right by five minutes
 */
export async function invokeLater(
  options: LambdaInvokerOptions,
  event: object,
  nowMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const { functionName, region } = options;
  const doing = `invoking function ${functionName}`;
  const path = `/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`;
  const url = new URL(path, options.endpoint ?? `https://lambda.${region}.amazonaws.com`);
  const body = JSON.stringify(event);
  let response: Response;
  try {
    const limit = AbortSignal.timeout(answerMsMax);
    response = await fetch(url, {
      method: 'POST',
      body,
      headers: signedHeaders(options, url, body, nowMs),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw new VarveError('unavailable', `${doing}: no answer from ${url.host}`, { cause: error });
  }
  const text = await response.text().catch(() => '');
  if (response.status === 202) return;
  throw new VarveError('unavailable', `${doing}: got ${response.status} ${text.slice(0, 200)}; want 202`);
}

/** The headers of an asynchronous invocation with its signature (AWS Signature Version 4). */
export function signedHeaders(
  options: LambdaInvokerOptions,
  url: URL,
  body: string,
  nowMs: number,
): Readonly<Record<string, string>> {
  const { accessKeyId, secretAccessKey, sessionToken } = options.credentials;
  const date = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const headers: Readonly<Record<string, string>> = {
    'content-type': 'application/json',
    host: url.host,
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': date,
    'x-amz-invocation-type': 'Event',
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    'POST',
    // What is escaped once on the wire is signed escaped twice, for every service but S3.
    url.pathname.split('/').map(encodeURIComponent).join('/'),
    '',
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const scope = [date.slice(0, 8), options.region, service, 'aws4_request'];
  const toSign = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce<Buffer | string>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  const credential = `${accessKeyId}/${scope.join('/')}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
