import { invokeLater, type LambdaInvokerOptions } from '../../core/adapters/lambda-invoker.js';
import type { Clock } from '../../core/ports/clock.js';
import type { LambdaSettings } from './lambda-settings.js';

/** Hands an event to this same function, to be worked on by another environment of it. */
export type InvokeSelf = (event: object, signal: AbortSignal) => Promise<void>;

/**
 * The function's way to invoke itself, with the role and in the region that Lambda gave it; undefined unless
 * VARVE_FAN_OUT is on. Errors: `invalid` where it is on and Lambda's own variables are missing.
 */
export function openSelfInvoke(settings: LambdaSettings, clock: Clock): InvokeSelf | undefined {
  if (!settings.isOn('VARVE_FAN_OUT')) return undefined;
  const sessionToken = settings.text('AWS_SESSION_TOKEN');
  const endpoint = settings.text('AWS_ENDPOINT_URL_LAMBDA') ?? settings.text('AWS_ENDPOINT_URL');
  const options: LambdaInvokerOptions = {
    functionName: settings.required('AWS_LAMBDA_FUNCTION_NAME', 'varve-compactor, which Lambda sets'),
    region: settings.required('AWS_REGION', 'eu-central-1, which Lambda sets'),
    ...(endpoint === undefined ? {} : { endpoint }),
    credentials: {
      accessKeyId: settings.required('AWS_ACCESS_KEY_ID', 'that of the role, which Lambda sets'),
      secretAccessKey: settings.required('AWS_SECRET_ACCESS_KEY', 'that of the role, which Lambda sets'),
      ...(sessionToken === undefined ? {} : { sessionToken }),
    },
  };
  return (event, signal) => invokeLater(options, event, clock.nowMs(), signal);
}
