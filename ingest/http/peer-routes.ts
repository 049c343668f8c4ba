import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  conflictListJson,
  readConflictRequest,
  readKeptConflictRequest,
} from '../../core/codec/conflict-messages.js';
import { encodeFrames } from '../../core/codec/frame-stream.js';
import {
  batchLeavesJson,
  chunkInfosJson,
  formatPeerTimes,
  groupReportJson,
  type PeerMethod,
  peerClockHeader,
  peerNodeHeader,
  peerPath,
  peerVersion,
  peerVersionHeader,
  readCatchUpArgument,
  readDescribeRequest,
  readFetchArgument,
  readGroupArgument,
  readHoldingsRequest,
  readReleaseArgument,
  readScanRequest,
  readShardAddress,
} from '../../core/codec/peer-messages.js';
import { errorToWire, type WireError } from '../../core/codec/wire-error.js';
import { type Authentication, authenticate } from '../../core/http/authentication.js';
import { goneSignal } from '../../core/http/gone-signal.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { ConflictReader } from '../../core/ports/conflict-reader.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { errorMessage, errorTraits, isVarveError, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';

/** What the peer API opens to the other processes of the cluster. */
export interface ServedNode {
  readonly peer: Peer;
  readonly hotReader: HotReader;
  readonly conflicts: ConflictReader;
}

export interface PeerRoutesOptions {
  readonly node: NodeId;
  /** The secrets of the cluster. The routes are never open: there is no other kind. */
  readonly secrets: Extract<Authentication, { readonly kind: 'tokens' }>;
  /** The node; throws `unavailable` until it has recovered, for an answer would be silently short. */
  readonly served: () => ServedNode;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A batch is at most a request's rows, encoded; requests are bounded well below this. */
const batchBytesMax = 2 ** 29;
/** Sealed sets and lists of batch ids. */
const jsonBytesMax = 2 ** 26;

/** Registers the API by which compactors, queriers and other ingest nodes reach this one (docs/cluster.md). */
export async function registerPeerRoutes(server: FastifyInstance, options: PeerRoutesOptions): Promise<void> {
  // A scope of its own: errors go out with their kind, and bodies are whole batches.
  await server.register(async (scope) => {
    showClock(scope, options.clock);
    scope.addHook('onRequest', async (request) => admit(request, options));
    scope.setErrorHandler((error, request, reply) => {
      const wire = wireErrorOf(error);
      if (wire.kind === 'internal') {
        options.logger.error({ requestId: request.id, err: error }, 'a call of a peer hit a defect');
      }
      return reply.code(errorTraits[wire.kind].httpStatus).send(wire);
    });
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/octet-stream',
      { parseAs: 'buffer', bodyLimit: batchBytesMax },
      (_request, body, done) => done(null, body),
    );
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string', bodyLimit: jsonBytesMax },
      scope.getDefaultJsonParser('error', 'error'),
    );
    registerCalls(scope, options);
    registerStreams(scope, options);
  });
}

/** Tells the caller the time here, so that nodes see how far their clocks are apart. */
function showClock(scope: FastifyInstance, clock: Clock): void {
  const receivedMs = new WeakMap<FastifyRequest, number>();
  scope.addHook('onRequest', async (request) => void receivedMs.set(request, clock.nowMs()));
  scope.addHook('onSend', async (request, reply) => {
    const answeredMs = clock.nowMs();
    const times = { receivedMs: receivedMs.get(request) ?? answeredMs, answeredMs };
    reply.header(peerClockHeader, formatPeerTimes(times));
  });
}

function registerCalls(scope: FastifyInstance, { served }: PeerRoutesOptions): void {
  const call = (
    method: PeerMethod,
    answer: (body: unknown, node: ServedNode, signal: AbortSignal) => Promise<object>,
  ): void => {
    scope.post(peerPath(method), async (request, reply) =>
      reply.send(await answer(request.body, served(), goneSignal(reply))),
    );
  };
  // Answered by `served`: a node that recovers is not there yet.
  call('ping', async () => ({}));
  call('append', async (body, { peer }, signal) => {
    if (!(body instanceof Uint8Array)) {
      throw new VarveError(
        'invalid',
        'append: got a body that is not application/octet-stream; want a batch',
      );
    }
    return peer.append(body, signal);
  });
  call('close-group', async (body, { peer }, signal) => {
    const { database, group } = readGroupArgument(body);
    return groupReportJson(await peer.closeGroup(database, group, signal));
  });
  call('report-group', async (body, { peer }, signal) => {
    const { database, group } = readGroupArgument(body);
    return groupReportJson(await peer.reportGroup(database, group, signal));
  });
  call('list-batches', async (body, { peer }, signal) =>
    batchLeavesJson(await peer.listBatches(readShardAddress(body), signal)),
  );
  call('release-group', async (body, { peer }, signal) => {
    const { database, group, sealed } = readReleaseArgument(body);
    return peer.releaseGroup(database, group, sealed, signal);
  });
  call('catch-up', async (body, { peer }, signal) => {
    const { address, source, ranges } = readCatchUpArgument(body);
    return peer.catchUp(address, source, ranges, signal);
  });
  call('holdings', async (body, { hotReader }, signal) =>
    hotReader.holdings(readHoldingsRequest(body), signal),
  );
  call('conflicts', async (body, { conflicts }, signal) =>
    conflictListJson(await conflicts.conflicts(readConflictRequest(body), signal)),
  );
  call('kept-conflicts', async (body, { conflicts }, signal) =>
    conflictListJson(await conflicts.keptConflicts(readKeptConflictRequest(body), signal)),
  );
  call('describe', async (body, { hotReader }, signal) =>
    chunkInfosJson(await hotReader.describe(readDescribeRequest(body), signal)),
  );
}

function registerStreams(scope: FastifyInstance, { served }: PeerRoutesOptions): void {
  const stream = (
    method: PeerMethod,
    answer: (body: unknown, node: ServedNode, signal: AbortSignal) => AsyncIterable<Uint8Array>,
  ): void => {
    scope.post(peerPath(method), async (request, reply) => {
      const pieces = await begun(answer(request.body, served(), goneSignal(reply)));
      // The stream asks for a piece when the connection has taken the one before: the reader sets the pace.
      return reply.type('application/octet-stream').send(Readable.from(encodeFrames(pieces)));
    });
  };
  stream('fetch-batches', (body, { peer }, signal) => {
    const { address, ids } = readFetchArgument(body);
    return peer.fetchBatches(address, ids, signal);
  });
  stream('scan', (body, { hotReader }, signal) => hotReader.scan(readScanRequest(body), signal));
}

/** Pulls the first piece, so that what fails at once is answered with its own status. */
async function begun(pieces: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = pieces[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
}

/** Lets in who knows the secret, speaks this version and means this node. */
async function admit(request: FastifyRequest, { secrets, node }: PeerRoutesOptions): Promise<void> {
  authenticate(secrets, { authorization: request.headers.authorization, password: undefined });
  const version = request.headers[peerVersionHeader];
  if (version !== peerVersion) {
    throw new VarveError(
      'unavailable',
      `peer API of node ${node}: got version ${version ?? 'none'} of the messages; want ${peerVersion}, so the same version of Varve`,
      { retryAfterSeconds: 5 },
    );
  }
  const meant = request.headers[peerNodeHeader];
  if (meant !== node) {
    throw new VarveError(
      'unavailable',
      `peer API of node ${node}: got a call meant for node ${meant ?? 'none'}; want a look into the catalog again`,
      { retryAfterSeconds: 1 },
    );
  }
}

function wireErrorOf(error: unknown): WireError {
  if (isVarveError(error)) return errorToWire(error);
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return { kind: 'too-large', message: errorMessage(error) };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { kind: 'invalid', message: errorMessage(error) };
  }
  return errorToWire(error);
}
