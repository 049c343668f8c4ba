// Stands in for Lambda's Node.js runtime: loads the function's bundle, invokes its handler with each event that comes
// over the process's channel, one at a time, and sends back what Lambda would make of the answer. Plain JavaScript and
// by itself, because it runs beside the bundle where nothing else is installed.
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const [taskRoot, streams] = process.argv.slice(2);
const streamed = Symbol('streamed');

/** The stream a streaming handler writes to. Its head comes as JSON and eight zero bytes before the body. */
class ResponseStream extends Writable {
  pieces = [];
  contentType = 'application/octet-stream';

  setContentType(type) {
    this.contentType = type;
  }

  _write(piece, _encoding, done) {
    this.pieces.push(piece);
    done();
  }
}

if (streams === 'streaming') {
  globalThis.awslambda = {
    streamifyResponse: (handler) => Object.assign(handler, { [streamed]: true }),
    HttpResponseStream: {
      from(stream, head) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        stream.write(Buffer.concat([Buffer.from(JSON.stringify(head)), Buffer.alloc(8)]));
        return stream;
      },
    },
  };
}

const { handler } = await import(pathToFileURL(join(taskRoot, 'index.js')).href);

async function invoke(event, remainingMs) {
  const deadlineMs = Date.now() + remainingMs;
  const context = {
    awsRequestId: 'c0ffee00-0000-4000-8000-000000000001',
    functionName: 'varve',
    functionVersion: '$LATEST',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:varve',
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
  if (handler[streamed] !== true) return { kind: 'value', value: await handler(event, context) };
  const stream = new ResponseStream();
  await handler(event, stream, context);
  if (!stream.writableFinished) throw new Error('the handler ended before its stream');
  return {
    kind: 'stream',
    contentType: stream.contentType,
    pieces: stream.pieces.length,
    base64: Buffer.concat(stream.pieces).toString('base64'),
  };
}

process.on('message', async ({ event, remainingMs }) => {
  try {
    process.send(await invoke(event, remainingMs));
  } catch (error) {
    process.send({ kind: 'error', errorType: error.name, errorMessage: error.message });
  }
});
process.send({ kind: 'ready' });
