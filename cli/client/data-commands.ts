import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command, Option } from 'commander';
import { VarveError } from '../../core/std/errors.js';
import { countFlag, sizeFlag, textFlag } from '../flags.js';
import { type ConnectionFlags, commandContext, withConnection } from './command-context.js';
import { writeFile } from './write-file.js';

const formats = ['pretty', 'json', 'jsonl', 'csv', 'arrow', 'parquet'];

interface WriteFlags extends ConnectionFlags {
  readonly db: string;
  readonly precision: string;
  readonly consistency?: string;
  readonly requestBytes: number;
  readonly concurrency: number;
}

/** `varve write FILE|-` */
export function writeCommand(): Command {
  return withConnection(new Command('write'))
    .description('Writes line protocol from a file (gzip is recognised), or from standard input with -.')
    .argument('<file>', 'path, or - for standard input')
    .requiredOption('--db <name>', 'database; made at the first write')
    .addOption(
      new Option('--precision <unit>', 'unit of the timestamps')
        .choices(['auto', 'nanosecond', 'microsecond', 'millisecond', 'second'])
        .default('auto', 'auto: by magnitude'),
    )
    .addOption(
      new Option('--consistency <level>', "consistency level (default: the database's)").choices([
        'any',
        'one',
        'quorum',
        'all',
      ]),
    )
    .addOption(sizeFlag('--request-bytes <size>', 'line protocol a request', '2MiB'))
    .addOption(countFlag('--concurrency <count>', 'requests under way at once', '3', 1))
    .addHelpText(
      'after',
      '\nExamples:\n  varve write --db metrics points.lp.gz\n  telegraf --test | sed -n "s/^> //p" | varve write --db metrics -',
    )
    .action(async (file: string, flags: WriteFlags) => {
      const context = commandContext(flags);
      const report = await writeFile(context.client, file, {
        database: flags.db,
        precision: flags.precision,
        ...(flags.consistency === undefined ? {} : { consistency: flags.consistency }),
        requestBytes: flags.requestBytes,
        concurrency: flags.concurrency,
        retriesMax: 60,
        sleep: context.sleep,
        onProgress: (done, total, lines) =>
          context.progress.update(done, total, `${lines} lines acknowledged`),
      });
      context.progress.finish();
      const rejected = report.rejected.length + report.rejectedMore;
      context.print(`${report.linesSent - rejected} lines written, ${rejected} rejected`);
      for (const row of report.rejected.slice(0, 20))
        process.stderr.write(`line ${row.lineNumber}: ${row.message}\n`);
      if (rejected > 20)
        process.stderr.write(`and ${rejected - Math.min(20, report.rejected.length)} more\n`);
      if (rejected > 0) process.exitCode = 1;
    });
}

interface SqlFlags extends ConnectionFlags {
  readonly db: string;
  readonly format: string;
  readonly tier?: string;
  readonly snapshot?: string;
  readonly consistency?: string;
  readonly allowPartial: boolean;
  readonly params?: string;
  readonly verbose: boolean;
}

/** `varve sql "…"` */
export function sqlCommand(): Command {
  return withConnection(new Command('sql'))
    .description('Runs one SELECT over both tiers and prints the answer.')
    .argument('<query>', 'SQL; - reads it from standard input')
    .requiredOption('--db <name>', 'database')
    .addOption(
      new Option('--format <format>', 'how the answer is written').choices(formats).default('pretty'),
    )
    .addOption(
      new Option('--tier <tier>', 'settled asks for settled history only').choices(['all', 'settled']),
    )
    .addOption(textFlag('--snapshot <id>', 'a past version, as varve-snapshot of an earlier answer named it'))
    .addOption(
      new Option(
        '--consistency <level>',
        'quorum: whatever was acknowledged at quorum; one: what one owner of each shard has',
      ).choices(['one', 'quorum']),
    )
    .option('--allow-partial', 'answer without the shards that cannot be read, and say which', false)
    .option('--params <json>', 'values of $name placeholders as a JSON object')
    .option('-v, --verbose', 'also print what the answer says of tiers and history, to standard error', false)
    .addHelpText(
      'after',
      `\nExamples:\n  varve sql --db metrics "SHOW TABLES"\n  varve sql --db metrics --format csv "SELECT date_trunc('minute', time) AS minute, avg(usage) FROM cpu GROUP BY 1 ORDER BY 1"`,
    )
    .action(async (text: string, flags: SqlFlags) => {
      const { client } = commandContext(flags);
      const response = await client.request('/api/v3/query_sql', {
        method: 'POST',
        body: {
          db: flags.db,
          q: text === '-' ? await readAll(process.stdin) : text,
          format: flags.format,
          ...(flags.tier === undefined ? {} : { tier: flags.tier }),
          ...(flags.snapshot === undefined ? {} : { snapshot: flags.snapshot }),
          ...(flags.consistency === undefined ? {} : { consistency: flags.consistency }),
          ...(flags.allowPartial ? { allow_partial: true } : {}),
          ...(flags.params === undefined ? {} : { params: readParams(flags.params) }),
        },
      });
      const incomplete = response.headers.get('varve-incomplete');
      if (incomplete !== null) {
        process.stderr.write(`warning: the answer is incomplete, without ${incomplete}\n`);
      }
      if (flags.verbose) {
        for (const name of [
          'varve-tiers',
          'varve-settled-through',
          'varve-snapshot',
          'varve-history-root',
          'etag',
        ]) {
          process.stderr.write(`${name}: ${response.headers.get(name) ?? '-'}\n`);
        }
      }
      if (response.body !== null)
        await pipeline(Readable.fromWeb(response.body), process.stdout, { end: false });
      if (flags.format === 'json') process.stdout.write('\n');
    });
}

function readParams(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new VarveError('invalid', `--params: got ${text}; want a JSON object, such as {"host": "a"}`);
  }
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
