import { joinBytes } from '../../core/std/bytes.js';
import type { ChannelHandlers } from '../../core/std/channel.js';
import type { EvaluateRequest, ExecuteRequest, QueryEngine, ResultColumnInfo } from './query-engine.js';

/** Name of the channel between the engine's thread and the others. */
export const engineChannel = 'query-engine';
/** What the engine's thread says, past the channel, when a query in it can neither go on nor end. */
export const stuckMessage = 'stuck';

/** Bytes of a body that go with its head, at least, if there are so many: few messages for a short answer. */
const headBytesMin = 512 * 1024;
/** In front of the first piece: how long the head is. */
const lengthBytes = 4;

/** The engine's operations as channel handlers; `execute` streams a head and then the body. */
export function engineHandlers(engine: QueryEngine): ChannelHandlers {
  return {
    parse: (sql: string) => engine.parse(sql),
    tableNames: (sql: string) => engine.tableNames(sql),
    print: (ast: string) => engine.print(ast),
    evaluate: (request: EvaluateRequest) => engine.evaluate(request),
    execute: (request: ExecuteRequest, signal: AbortSignal) => execute(engine, request, signal),
  };
}

/** The first piece: the length of the head, the columns as JSON, and the body as far as it has been made. */
async function* execute(
  engine: QueryEngine,
  request: ExecuteRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, Uint8Array | undefined> {
  const answer = await engine.execute(request, signal);
  const body = answer.body[Symbol.asyncIterator]();
  try {
    const head = Buffer.from(JSON.stringify(answer.columns));
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32LE(head.length);
    const pieces: Uint8Array[] = [length, head];
    let bytes = 0;
    for (;;) {
      const step = await body.next();
      if (step.done === true) return joinBytes(pieces);
      pieces.push(step.value);
      bytes += step.value.length;
      if (bytes >= headBytesMin) break;
    }
    yield joinBytes(pieces);
    for (;;) {
      const step = await body.next();
      if (step.done === true) return undefined;
      yield step.value;
    }
  } finally {
    await body.return?.();
  }
}

/** Takes the first piece of an answer apart. */
export function readHead(first: Uint8Array): {
  readonly columns: readonly ResultColumnInfo[];
  readonly body: Uint8Array;
} {
  const length = new DataView(first.buffer, first.byteOffset, lengthBytes).getUint32(0, true);
  const end = lengthBytes + length;
  const columns = JSON.parse(
    new TextDecoder().decode(first.subarray(lengthBytes, end)),
  ) as readonly ResultColumnInfo[];
  return { columns, body: first.subarray(end) };
}
