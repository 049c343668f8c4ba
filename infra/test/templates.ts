import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { readSettings } from '../settings.js';
import { VarveStack } from '../varve-stack.js';

/** The flags of the CDK that a deployment is made with. */
const { context: featureFlags } = JSON.parse(
  readFileSync(new URL('../cdk.json', import.meta.url), 'utf8'),
) as { readonly context: Readonly<Record<string, unknown>> };

/** The template of a stack with these keys in its context, without an image to build or bundles to find. */
export function synthesize(context: Readonly<Record<string, string>> = {}): Template {
  const given: Readonly<Record<string, string>> = {
    placeholderCode: 'true',
    image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/varve:1',
    region: 'eu-central-1',
    ...context,
  };
  const settings = readSettings((key) => given[key]);
  const app = new App({ analyticsReporting: false, context: featureFlags });
  const stack = new VarveStack(app, 'varve-test', {
    settings,
    ...(settings.region === undefined ? {} : { env: { region: settings.region } }),
  });
  return Template.fromStack(stack);
}

/** A statement of a policy, as it stands in a template. */
export interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Principal?: unknown;
  readonly Condition?: unknown;
}

/** The statements of the policies that are attached to the role whose logical id begins so. */
export function statementsOf(template: Template, role: string): readonly Statement[] {
  return Object.values(template.findResources('AWS::IAM::Policy')).flatMap((policy) => {
    const { Roles: roles, PolicyDocument: document } = policy['Properties'] as {
      readonly Roles: readonly { readonly Ref: string }[];
      readonly PolicyDocument: { readonly Statement: readonly Statement[] };
    };
    return roles.some(({ Ref }) => Ref.startsWith(role)) ? document.Statement : [];
  });
}

/** The actions that a role is allowed. */
export function actionsOf(template: Template, role: string): readonly string[] {
  return statementsOf(template, role)
    .filter(({ Effect }) => Effect === 'Allow')
    .flatMap(({ Action }) => Action)
    .sort();
}
