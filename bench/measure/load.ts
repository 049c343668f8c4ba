import { setTimeout as sleep } from 'node:timers/promises';
import type { BodyPlace, Dataset } from '../generate/dataset.js';
import { LoopbackClient } from './http-exchange.js';
import { shiftTimes } from './shift-times.js';
import { type Spread, spreadOf } from './statistics.js';

/** Where lines go. */
export interface WriteTarget {
  readonly port: number;
  readonly path: string;
}

/** How they are sent. */
export interface LoadOptions {
  readonly connections: number;
  /** Bodies are sent no faster than this; as fast as they are acknowledged when absent. */
  readonly linesPerSecond?: number;
  /** Moves the times of all points by so much. */
  readonly shiftSeconds?: number;
  readonly signal?: AbortSignal;
}

/** What became of a load. */
export interface LoadResult {
  readonly lines: number;
  readonly seconds: number;
  readonly linesPerSecond: number;
  /** From sending a request to its acknowledgement, repeats of refused ones included. */
  readonly acknowledgeMs: Spread;
  /** Requests answered 503 and sent again. */
  readonly refused: number;
  /** CPU seconds of the client. */
  readonly clientCpuSeconds: number;
}

const refusalsMax = 1000;

/** Sends the bodies over so many connections, each with one request under way, and ends when all are acknowledged. */
export async function load(
  target: WriteTarget,
  dataset: Dataset,
  bodies: readonly BodyPlace[],
  options: LoadOptions,
): Promise<LoadResult> {
  const client = new LoopbackClient(target.port, options.connections);
  const linesBefore = runningSum(bodies.map((body) => body.lines));
  const latencies: number[] = [];
  let next = 0;
  let lines = 0;
  let refused = 0;
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const sender = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(dataset.largestBody);
    for (let index = next++; index < bodies.length; index = next++) {
      const place = bodies[index] as BodyPlace;
      if (options.linesPerSecond !== undefined) {
        const dueMs = startMs + ((linesBefore[index] as number) / options.linesPerSecond) * 1000;
        if (dueMs > performance.now()) await sleep(dueMs - performance.now());
      }
      if (options.signal?.aborted) return;
      const body = await dataset.read(place, buffer);
      if (options.shiftSeconds !== undefined) shiftTimes(body, options.shiftSeconds);
      const sentMs = performance.now();
      refused += await sendUntilTaken(client, target.path, body);
      latencies.push(performance.now() - sentMs);
      lines += place.lines;
    }
  };
  try {
    await Promise.all(Array.from({ length: options.connections }, sender));
  } finally {
    client.close();
  }
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    lines,
    seconds,
    linesPerSecond: lines / seconds,
    acknowledgeMs: spreadOf(latencies),
    refused,
    clientCpuSeconds: (user + system) / 1e6,
  };
}

/** Returns how often the request was refused first. */
async function sendUntilTaken(client: LoopbackClient, path: string, body: Buffer): Promise<number> {
  for (let refused = 0; ; refused++) {
    const answer = await client.exchange({ method: 'POST', path, body });
    if (answer.status === 204) return refused;
    if (answer.status !== 503 || refused === refusalsMax) {
      throw new Error(
        `POST ${path}: got ${answer.status} ${answer.body.toString().slice(0, 300)}; want 204, or 503 for a while`,
      );
    }
    await sleep(Math.min(500, Number(answer.retryAfter ?? 1) * 1000));
  }
}

function runningSum(values: readonly number[]): readonly number[] {
  let sum = 0;
  return values.map((value) => {
    const before = sum;
    sum += value;
    return before;
  });
}
