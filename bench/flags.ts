import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type DatasetOptions, tsbsStartMs } from './generate/dataset.js';
import type { Machine } from './measure/machine.js';

/** Flags that say which points are written. */
export interface PointFlags {
  readonly shape: DatasetOptions['shape'];
  readonly hosts: number;
  readonly steps: number;
  readonly kind: DatasetOptions['kind'];
  readonly order: DatasetOptions['order'];
  readonly seed: number;
  readonly batch: number;
}

/** A whole number from 1 up. */
export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('want a whole number from 1 up');
  return value;
}

/** A number of minutes, 0 or more. */
export function wait(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('want a number of minutes');
  return value;
}

/** Names or numbers with commas between; empty for none. */
export function list(text: string): readonly string[] {
  return text === '' ? [] : text.split(',').map((part) => part.trim());
}

/** Adds the flags for points. */
export function withPointFlags(command: Command, hosts = 1000, steps = 2000): Command {
  return command
    .addOption(
      new Option('--shape <shape>', 'points of this shape')
        .choices(['cpu-only', 'iot', 'cardinality'])
        .default('cpu-only'),
    )
    .option('--hosts <count>', 'hosts, trucks or meters: one point each a step', count, hosts)
    .option('--steps <count>', 'steps of 10 s', count, steps)
    .addOption(new Option('--kind <kind>', 'values of cpu-only').choices(['int', 'float']).default('int'))
    .addOption(new Option('--order <order>', 'order of lines').choices(['time', 'shuffled']).default('time'))
    .option('--seed <number>', 'the same seed makes the same points', count, 1)
    .option('--batch <lines>', 'lines a request', count, 10_000);
}

/** The points that the flags describe, from where TSBS starts its own unless told otherwise. */
export function datasetOptionsOf(
  flags: PointFlags,
  time = { startMs: tsbsStartMs, stepMs: 10_000 },
): DatasetOptions {
  const { shape, hosts, steps, kind, order, seed, batch } = flags;
  return { shape, hosts, steps, kind, order, seed, linesPerBody: batch, ...time };
}

/** Adds the flag for JSON. */
export function withJsonFlag(command: Command): Command {
  return command.option(
    '--json <file>',
    'write the figures as JSON too; - for standard output, without tables',
  );
}

/** Prints the tables, or the JSON, or both. */
export function publish(
  json: string | undefined,
  report: { readonly machine: Machine; readonly [figures: string]: unknown },
  tables: string,
): void {
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (json === '-') {
    process.stdout.write(text);
    return;
  }
  if (json !== undefined) writeFileSync(json, text);
  process.stdout.write(`${tables}\n`);
}
