import { errorMessage, VarveError } from '../std/errors.js';

/** What went wrong with a request to AWS, as far as it decides what to do and say. */
export type AwsFault =
  | 'object-missing'
  | 'resource-missing'
  | 'wrong-region'
  | 'denied'
  | 'credentials'
  | 'clock'
  | 'settings'
  | 'throttled'
  | 'failing'
  | 'unreachable'
  | 'other';

/** What a request was for, in the words of the operator. */
export interface AwsResource {
  /** As `bucket readings` or `table varve`. */
  readonly name: string;
  readonly service: 'S3' | 'DynamoDB';
  /** What to do when the resource does not exist. */
  readonly missingRemedy: string;
}

const faultsByName: Readonly<Record<string, AwsFault>> = {
  NoSuchKey: 'object-missing',
  // Somebody has ended a multipart upload that was under way.
  NoSuchUpload: 'other',
  NoSuchBucket: 'resource-missing',
  ResourceNotFoundException: 'resource-missing',
  PermanentRedirect: 'wrong-region',
  TemporaryRedirect: 'wrong-region',
  AuthorizationHeaderMalformed: 'wrong-region',
  IllegalLocationConstraintException: 'wrong-region',
  AccessDenied: 'denied',
  AccessDeniedException: 'denied',
  AllAccessDisabled: 'denied',
  AccountProblem: 'denied',
  ExpiredToken: 'credentials',
  ExpiredTokenException: 'credentials',
  TokenRefreshRequired: 'credentials',
  InvalidToken: 'credentials',
  InvalidAccessKeyId: 'credentials',
  InvalidClientTokenId: 'credentials',
  UnrecognizedClientException: 'credentials',
  MissingAuthenticationTokenException: 'credentials',
  IncompleteSignatureException: 'credentials',
  CredentialsProviderError: 'credentials',
  SignatureDoesNotMatch: 'credentials',
  InvalidSignatureException: 'credentials',
  RequestTimeTooSkewed: 'clock',
  RequestExpired: 'clock',
  RequestInTheFuture: 'clock',
  SlowDown: 'throttled',
  ServiceUnavailable: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  ThrottledException: 'throttled',
  TooManyRequestsException: 'throttled',
  RequestLimitExceeded: 'throttled',
  ProvisionedThroughputExceededException: 'throttled',
  InternalError: 'failing',
  InternalServerError: 'failing',
  RequestTimeout: 'failing',
  TimeoutError: 'unreachable',
};

const unreachableCodes = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'],
  ...['ENETUNREACH', 'EPROTO', 'ERR_STREAM_PREMATURE_CLOSE'],
]);

/** Names what went wrong; by its status alone where the answer had no body, as the one to HEAD. */
export function awsFaultOf(error: unknown): AwsFault {
  const named = faultsByName[nameOf(error)];
  if (named !== undefined) return named;
  const code = textOf(error, 'code');
  if (code !== undefined && unreachableCodes.has(code)) return 'unreachable';
  const message = errorMessage(error);
  if (message === 'Region is missing' || message.startsWith('Invalid URL')) return 'settings';
  if (message === 'aborted') return 'unreachable';
  const status = statusOf(error);
  if (status === 301 || status === 307) return 'wrong-region';
  if (status === 403) return 'denied';
  if (status === 404) return 'object-missing';
  if (status === 429 || status === 503) return 'throttled';
  if (status !== undefined && status >= 500) return 'failing';
  return 'other';
}

/** True when the request may have done its work although it failed. */
export function mayHaveApplied(fault: AwsFault): boolean {
  return fault === 'failing' || fault === 'unreachable' || fault === 'throttled' || fault === 'other';
}

/** Tries that the SDK made of the request that ended in this error. */
export function attemptsOf(error: unknown): number {
  const metadata = metadataOf(error);
  return typeof metadata?.['attempts'] === 'number' ? metadata['attempts'] : 1;
}

/** The error to throw for a failed request: what was being done, what came, and what to do about it. */
export function awsFailure(doing: string, resource: AwsResource, error: unknown): VarveError {
  const fault = awsFaultOf(error);
  if (fault === 'object-missing')
    return new VarveError('not-found', `${doing} in ${resource.name}: it does not exist`, { cause: error });
  const retryAfterSeconds = fault === 'throttled' ? 2 : fault === 'failing' ? 5 : 15;
  return new VarveError(
    'unavailable',
    `${doing} in ${resource.service} ${resource.name}: ${explanation(fault, resource, error)} (got ${saying(error)})`,
    { retryAfterSeconds, cause: error },
  );
}

function explanation(
  fault: Exclude<AwsFault, 'object-missing'>,
  resource: AwsResource,
  error: unknown,
): string {
  switch (fault) {
    case 'resource-missing':
      return `it does not exist; ${resource.missingRemedy}`;
    case 'wrong-region': {
      const region = regionIn(error);
      const right = region === undefined ? 'the region it is in' : region;
      return `it is in another region than the one asked; set AWS_REGION to ${right}`;
    }
    case 'denied':
      return 'access is denied; give this role the permissions that docs/aws.md lists';
    case 'credentials':
      return 'the credentials are missing, wrong or expired; renew them (AWS_ACCESS_KEY_ID, AWS_PROFILE or the role of this machine)';
    case 'clock':
      return "this machine's clock is off; set it by NTP";
    case 'settings':
      return 'region or endpoint are not set; set AWS_REGION, and AWS_ENDPOINT_URL for an emulator only';
    case 'throttled':
      return 'it asks to slow down; the request may be sent again later';
    case 'failing':
      return 'the service failed; the request may be sent again later';
    case 'unreachable':
      return 'no answer; check the network and AWS_ENDPOINT_URL';
    case 'other':
      return 'the request failed';
  }
}

function saying(error: unknown): string {
  const name = nameOf(error);
  const status = statusOf(error);
  // The SDK's messages for answers without a body say no more than the status.
  const message = errorMessage(error).replaceAll(/\s+/g, ' ').slice(0, 300);
  return [status, name === 'Error' ? undefined : name, message === name ? undefined : message]
    .filter((part) => part !== undefined && part !== '')
    .join(' ');
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/** The HTTP status of the answer that an error stands for. */
export function statusOf(error: unknown): number | undefined {
  const status = metadataOf(error)?.['httpStatusCode'];
  return typeof status === 'number' ? status : undefined;
}

/** The region that a service said to ask instead. */
function regionIn(error: unknown): string | undefined {
  const response = propertyOf(error, '$response');
  const headers = propertyOf(response, 'headers');
  return (
    textOf(error, 'Region') ??
    textOf(headers, 'x-amz-bucket-region') ??
    /expecting '([a-z0-9-]+)'/.exec(errorMessage(error))?.[1]
  );
}

function metadataOf(error: unknown): Record<string, unknown> | undefined {
  const metadata = propertyOf(error, '$metadata');
  return typeof metadata === 'object' && metadata !== null
    ? (metadata as Record<string, unknown>)
    : undefined;
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const text = propertyOf(value, name);
  return typeof text === 'string' ? text : undefined;
}
