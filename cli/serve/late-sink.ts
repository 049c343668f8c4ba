import { VarveError } from '../../core/std/errors.js';
import type { WriteRequest, WriteSession, WriteSink } from '../../ingest/write-contract.js';

/** A sink that can be named before there is a node behind it: until then writes are told to come again. */
export class LateSink implements WriteSink {
  #sink: WriteSink | undefined;

  /** From now on writes go through. */
  open(sink: WriteSink): void {
    this.#sink = sink;
  }

  begin(request: WriteRequest): Promise<WriteSession> {
    if (this.#sink !== undefined) return this.#sink.begin(request);
    throw new VarveError(
      'unavailable',
      'the server is recovering what was in flux; want the same request again shortly',
      {
        retryAfterSeconds: 1,
      },
    );
  }
}
