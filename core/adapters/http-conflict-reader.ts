import { readConflictList } from '../codec/conflict-messages.js';
import type { NodeId } from '../model/batch.js';
import type {
  ConflictList,
  ConflictReader,
  ConflictRequest,
  KeptConflictRequest,
} from '../ports/conflict-reader.js';
import type { PeerClient } from './peer-client.js';

/** Conflicts of an ingest node of another process; ingest/http/peer-routes.ts is the other side. */
export class HttpConflictReader implements ConflictReader {
  readonly #node: NodeId;
  readonly #client: PeerClient;

  /** @param client shared by all readers and peers of the process */
  constructor(node: NodeId, client: PeerClient) {
    this.#node = node;
    this.#client = client;
  }

  async conflicts(request: ConflictRequest, signal?: AbortSignal): Promise<ConflictList> {
    const { database, group, conflictsMax, only } = request;
    const body = { database, group, conflictsMax, ...(only === undefined ? {} : { only }) };
    return readConflictList(await this.#client.call(this.#node, 'conflicts', body, signal));
  }

  async keptConflicts(request: KeptConflictRequest, signal?: AbortSignal): Promise<ConflictList> {
    const { database, conflictsMax } = request;
    const body = { database, conflictsMax };
    return readConflictList(await this.#client.call(this.#node, 'kept-conflicts', body, signal));
  }
}
