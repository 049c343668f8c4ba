import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';

/** How to reach a service of AWS. What is left out comes from the SDK's own chain: environment, profile, instance role. */
export interface AwsConnection {
  readonly region?: string;
  /** Base URL of an emulator or a compatible service. */
  readonly endpoint?: string;
  readonly credentials?: NonNullable<S3ClientConfig['credentials']>;
  /** Tries of one request, the first included; waits between them are random and growing. */
  readonly attemptsMax?: number;
  readonly connectMsMax?: number;
  /** From sending a request to the head of its answer. */
  readonly answerMsMax?: number;
  /** Longest pause within an answer's body. */
  readonly silenceMsMax?: number;
  readonly connectionsMax?: number;
  /** Takes the place of the SDK's standard strategy. */
  readonly retryStrategy?: NonNullable<S3ClientConfig['retryStrategy']>;
  /** Told of each try of a request, as `PutObject`: what is billed. */
  readonly onAttempt?: (operation: string) => void;
}

/** The bounds that an adapter sets where its connection names none. */
export type ConnectionBounds = Required<
  Pick<AwsConnection, 'attemptsMax' | 'connectMsMax' | 'answerMsMax' | 'silenceMsMax' | 'connectionsMax'>
>;

/** The settings common to all clients of the SDK. Connections are kept alive and used again. */
export function clientSettings(connection: AwsConnection, bounds: ConnectionBounds) {
  const { region, endpoint, credentials, retryStrategy } = connection;
  const connectionsMax = connection.connectionsMax ?? bounds.connectionsMax;
  const agent = { keepAlive: true, maxSockets: connectionsMax };
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(retryStrategy === undefined
      ? { retryMode: 'standard', maxAttempts: connection.attemptsMax ?? bounds.attemptsMax }
      : { retryStrategy }),
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connection.connectMsMax ?? bounds.connectMsMax,
      requestTimeout: connection.answerMsMax ?? bounds.answerMsMax,
      throwOnRequestTimeout: true,
      socketTimeout: connection.silenceMsMax ?? bounds.silenceMsMax,
      httpAgent: agent,
      httpsAgent: agent,
    }),
  };
}

type AttemptMiddleware = <Arguments, Output>(
  next: (args: Arguments) => Promise<Output>,
  context: { readonly commandName?: string },
) => (args: Arguments) => Promise<Output>;

/** A middleware that tells of each try; placed inside of the one that retries. */
export function attemptMiddleware(onAttempt: (operation: string) => void): AttemptMiddleware {
  return (next, context) => (args) => {
    onAttempt((context.commandName ?? 'unknown').replace(/Command$/, ''));
    return next(args);
  };
}

/** Where `attemptMiddleware` stands. */
export const attemptPlace = { step: 'finalizeRequest', priority: 'low', name: 'varveAttempts' } as const;

/** The options of one request. */
export function requestOptions(signal: AbortSignal | undefined): { readonly abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
