// An S3 for the Iceberg test: the one that AWS_ENDPOINT_URL names, or MiniStack from the virtual environment.
import { createServer } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { start, stop } from './processes.mjs';

const attemptsMax = 100;
const attemptEveryMs = 200;

/** An S3 with an empty bucket, and the environment in which programs find it; or the problem that there is none. */
export async function startS3(python) {
  const given = process.env.AWS_ENDPOINT_URL;
  const port = await freePort();
  const bucket = `varve-iceberg-${Date.now().toString(36)}`;
  const environment = {
    BUCKET: bucket,
    AWS_ENDPOINT_URL: given || `http://127.0.0.1:${port}`,
    AWS_REGION: process.env.AWS_REGION || 'us-east-1',
    AWS_ACCESS_KEY_ID: process.env.AWS_ACCESS_KEY_ID || 'test',
    AWS_SECRET_ACCESS_KEY: process.env.AWS_SECRET_ACCESS_KEY || 'test',
  };
  const emulator = given
    ? undefined
    : start(python, ['-m', 'ministack'], {
        env: { BIND_HOST: '127.0.0.1', GATEWAY_PORT: String(port), LOG_LEVEL: 'ERROR' },
      });
  // Its words are read and dropped, so that it never waits for a reader.
  emulator?.lines.on('line', () => {});
  const problem = await makeBucket(bucket, environment, emulator);
  if (problem === undefined)
    return { bucket, environment, stop: async () => emulator && (await stop(emulator)) };
  if (emulator) await stop(emulator);
  return { problem };
}

/** Tries until the service answers. */
async function makeBucket(bucket, environment, emulator) {
  const client = new S3Client({
    endpoint: environment.AWS_ENDPOINT_URL,
    region: environment.AWS_REGION,
    forcePathStyle: true,
    credentials: {
      accessKeyId: environment.AWS_ACCESS_KEY_ID,
      secretAccessKey: environment.AWS_SECRET_ACCESS_KEY,
    },
  });
  let problem = 'it did not start';
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (emulator && emulator.child.exitCode !== null) return 'MiniStack ended, or is not installed';
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      return undefined;
    } catch (error) {
      problem = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, attemptEveryMs));
  }
  return `no bucket at ${environment.AWS_ENDPOINT_URL}: ${problem}`;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
