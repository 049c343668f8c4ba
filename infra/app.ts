import { App, Tags } from 'aws-cdk-lib';
import { readSettings } from './settings.js';
import { VarveStack } from './varve-stack.js';

/** The CDK app: one stack a stage. The context is all it reads (docs/deploy.md lists the keys). */
const app = new App();
const settings = readSettings((key) => app.node.tryGetContext(key));
const stack = new VarveStack(app, `varve-${settings.stage}`, {
  settings,
  description: 'Varve: a tiered time-series service on S3 and DynamoDB',
  terminationProtection: settings.stage === 'prod',
  ...(settings.region === undefined ? {} : { env: { region: settings.region } }),
});
for (const [key, value] of Object.entries({ project: 'varve', stage: settings.stage, ...settings.tags }))
  Tags.of(stack).add(key, value);
app.synth();
