import { fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cardinalityStream } from './cardinality.js';
import { cpuOnlyStream } from './cpu-only.js';
import { iotStream } from './iot.js';
import type { FieldTotals, PointStream, TableShape, TimeSpan } from './point-stream.js';
import { mulberry32, shuffle } from './random.js';

/** Which points, and how they are cut into requests. */
export interface DatasetOptions extends TimeSpan {
  readonly shape: 'cpu-only' | 'iot' | 'cardinality';
  /** Hosts, trucks or meters. */
  readonly hosts: number;
  /** Values of cpu-only: whole numbers or two decimals. */
  readonly kind: 'int' | 'float';
  /** `shuffled`: out of order by up to 200,000 lines. */
  readonly order: 'time' | 'shuffled';
  readonly seed: number;
  readonly linesPerBody: number;
}

/** One request body. */
export interface BodyPlace {
  readonly offset: number;
  readonly bytes: number;
  readonly lines: number;
}

/** Points as request bodies in a temporary file, so that neither memory nor making them disturbs what is measured. */
export interface Dataset {
  readonly options: DatasetOptions;
  readonly tables: readonly TableShape[];
  /** The bodies of each pass of the stream. */
  readonly passes: readonly { readonly name: string; readonly bodies: readonly BodyPlace[] }[];
  readonly lines: number;
  /** Field values in all lines. */
  readonly samples: number;
  readonly bytes: number;
  readonly largestBody: number;
  readonly totals: readonly FieldTotals[];
  /** Reads a body into the buffer and gives the part it fills. */
  read(place: BodyPlace, into: Buffer): Promise<Buffer>;
  /** Closes and removes the file. */
  dispose(): Promise<void>;
}

const shuffledLines = 200_000;

/** TSBS starts its devops and iot cases here. */
export const tsbsStartMs = Date.UTC(2016, 0, 1);

/** Writes the points to a temporary file. Takes about two seconds a million lines; nothing is kept in memory. */
export async function makeDataset(options: DatasetOptions): Promise<Dataset> {
  const stream = streamOf(options);
  const directory = mkdtempSync(join(tmpdir(), 'varve-bench-points-'));
  const path = join(directory, 'points.lp');
  const passes = writePasses(stream, options, path);
  const file = await open(path, 'r');
  const bodies = passes.flatMap((pass) => pass.bodies);
  const totals = stream.totals.list;
  return {
    options,
    tables: stream.tables,
    passes,
    totals,
    lines: bodies.reduce((sum, body) => sum + body.lines, 0),
    bytes: bodies.reduce((sum, body) => sum + body.bytes, 0),
    largestBody: Math.max(...bodies.map((body) => body.bytes)),
    samples: totals.reduce((sum, { count }) => sum + count, 0),
    read: (place, into) => readBody(file, place, into),
    dispose: async () => {
      await file.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function streamOf(options: DatasetOptions): PointStream {
  switch (options.shape) {
    case 'cpu-only':
      return cpuOnlyStream(options);
    case 'iot':
      return iotStream(options);
    case 'cardinality':
      return cardinalityStream(options);
  }
}

function writePasses(stream: PointStream, options: DatasetOptions, path: string): Dataset['passes'] {
  const file = openSync(path, 'wx');
  let offset = 0;
  const passes = stream.passes.map((name, pass) => {
    const bodies: BodyPlace[] = [];
    for (const { text, lines } of bodiesOf(inOrder(stream.lines(pass), options), options.linesPerBody)) {
      const bytes = Buffer.from(text, 'latin1');
      writeSync(file, bytes);
      bodies.push({ offset, bytes: bytes.length, lines });
      offset += bytes.length;
    }
    return { name, bodies };
  });
  // What is still to be written back would slow down the logs of the systems under test.
  fdatasyncSync(file);
  return passes;
}

function* inOrder(lines: Iterable<string>, options: DatasetOptions): Iterable<string> {
  if (options.order === 'time') return yield* lines;
  const random = mulberry32(options.seed + 1);
  let block: string[] = [];
  for (const line of lines) {
    block.push(line);
    if (block.length < shuffledLines) continue;
    shuffle(block, block.length, random);
    yield* block;
    block = [];
  }
  shuffle(block, block.length, random);
  yield* block;
}

function* bodiesOf(
  lines: Iterable<string>,
  linesPerBody: number,
): Generator<{ readonly text: string; readonly lines: number }> {
  let text = '';
  let count = 0;
  for (const line of lines) {
    text += line;
    count += 1;
    if (count < linesPerBody) continue;
    yield { text, lines: count };
    text = '';
    count = 0;
  }
  if (count > 0) yield { text, lines: count };
}

async function readBody(file: FileHandle, place: BodyPlace, into: Buffer): Promise<Buffer> {
  const { bytesRead } = await file.read(into, 0, place.bytes, place.offset);
  if (bytesRead !== place.bytes)
    throw new Error(`reading a body: got ${bytesRead} bytes; want ${place.bytes}`);
  return into.subarray(0, place.bytes);
}
