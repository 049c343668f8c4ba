import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrowRows, parquetRows } from '../support/answer-rows.js';
import { type CommandResult, runCommand } from '../support/command.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestServer,
  type TestServer,
} from '../support/server-process.js';

let folder = '';
let dataDir = '';
let server: TestServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-test-cli-'));
  dataDir = makeDataDir();
  server = await startTestServer({
    dataDir,
    flags: ['--deadline', '2h', '--late-delay', '2h', '--log-level', 'warn'],
  });
});
afterAll(async () => {
  await server.kill();
  removeDataDir(dataDir);
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command against the test's server. */
function varve(args: readonly string[], input?: string | Uint8Array): Promise<CommandResult> {
  return runCommand(args, { env: { VARVE_URL: server.url }, ...(input === undefined ? {} : { input }) });
}

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function lines(table: string, count: number): string {
  return Array.from({ length: count }, (_, index) => `${table} v=${index}i ${1_600_000_000 + index}`).join(
    '\n',
  );
}

async function countOf(table: string): Promise<unknown> {
  return (await queryRows(server.client, 'cli', `SELECT count(*) AS n FROM ${table}`))[0]?.['n'];
}

describe('varve write', () => {
  it('writes a file, a gzip file and standard input, in pieces', async () => {
    const file = fileOf('plain.lp', `${lines('plain', 500)}\nplain s="quoted, \\"x\\"" 1600000000`);
    const plain = await varve([
      'write',
      '--db',
      'cli',
      '--precision',
      'second',
      '--request-bytes',
      '1KiB',
      file,
    ]);
    expect(plain).toMatchObject({ status: 0, stdout: '501 lines written, 0 rejected\n', stderr: '' });
    expect(await countOf('plain')).toBe(500);
    const zipped = fileOf('zipped.lp.gz', gzipSync(lines('zipped', 300)));
    expect((await varve(['write', '--db', 'cli', zipped])).stdout).toBe('300 lines written, 0 rejected\n');
    expect(await countOf('zipped')).toBe(300);
    const piped = await varve(['write', '--db', 'cli', '-'], gzipSync(lines('piped', 20)));
    expect([piped.status, piped.stdout]).toEqual([0, '20 lines written, 0 rejected\n']);
    expect(await countOf('piped')).toBe(20);
  });

  it('does not cut a string with newlines where a piece ends', async () => {
    const points = Array.from(
      { length: 100 },
      (_, index) => `texts s="${'a line\n'.repeat(20)}${index}" ${index + 1}`,
    );
    const file = fileOf('texts.lp', points.join('\n'));
    const result = await varve(['write', '--db', 'cli', '--request-bytes', '1KiB', file]);
    expect([result.status, result.stderr]).toEqual([0, '']);
    expect(await countOf('texts')).toBe(100);
  });

  it('ends with 1 when lines are rejected, and names them by their number in the file', async () => {
    const content = `${lines('partly', 200)}\nbroken\n${lines('partly', 3)}\npartly v="x"\n`;
    const result = await varve([
      'write',
      '--db',
      'cli',
      '--request-bytes',
      '1KiB',
      fileOf('bad.lp', content),
    ]);
    expect(result.status).toBe(1);
    expect(result.stdout).toBe('203 lines written, 2 rejected\n');
    expect(result.stderr).toMatch(/^line 201: got no fields.*\nline 205: field "v" of table "partly"/);
    expect(await countOf('partly')).toBe(200);
  });

  it('ends with 1 for a file that is not there, and for a damaged one', async () => {
    const missing = await varve(['write', '--db', 'cli', join(folder, 'missing.lp')]);
    expect([missing.status, missing.stdout]).toEqual([1, '']);
    expect(missing.stderr).toMatch(/^varve: ENOENT: .*missing\.lp'\n$/);
    const cut = gzipSync(lines('cut', 10)).subarray(0, -8);
    const damaged = await varve(['write', '--db', 'cli', fileOf('cut.lp.gz', cut)]);
    expect(damaged.status).toBe(1);
    expect(damaged.stderr).toMatch(/^varve: .*\n$/);
  });
});

describe('varve sql', () => {
  beforeAll(async () => {
    const points = 'cpu,host=a v=1i,d=0.5 1600000000000000000\ncpu,host=b v=2i 1600000001000000000';
    await varve(['write', '--db', 'cli', '-'], points);
  });
  const sql = (...args: string[]): Promise<CommandResult> => varve(['sql', '--db', 'cli', ...args]);
  const q = 'SELECT host, v FROM cpu ORDER BY host';

  it('prints a table, or what --format says', async () => {
    const texts: readonly (readonly [flags: readonly string[], stdout: string])[] = [
      [[], '+------+---+\n| host | v |\n+------+---+\n| a    | 1 |\n| b    | 2 |\n+------+---+\n'],
      [['--format', 'json'], '[{"host":"a","v":1},\n{"host":"b","v":2}]\n'],
      [['--format', 'jsonl'], '{"host":"a","v":1}\n{"host":"b","v":2}\n'],
      [['--format', 'csv'], 'host,v\na,1\nb,2\n'],
    ];
    for (const [flags, stdout] of texts) expect((await sql(...flags, q)).stdout).toBe(stdout);
    const rows = [
      { host: 'a', v: '1' },
      { host: 'b', v: '2' },
    ];
    expect(arrowRows((await sql('--format', 'arrow', q)).stdoutBytes)).toEqual(rows);
    expect(await parquetRows((await sql('--format', 'parquet', q)).stdoutBytes)).toEqual(rows);
  });

  it('takes the query from standard input and values for its placeholders', async () => {
    const args = ['sql', '--db', 'cli', '--format', 'csv', '--params', '{"host":"b"}', '-'];
    const result = await varve(args, 'SELECT v FROM cpu\nWHERE host = $host\n');
    expect([result.status, result.stdout]).toEqual([0, 'v\n2\n']);
  });

  it('tells tiers and snapshot with --verbose, and asks for that snapshot again', async () => {
    const first = await sql('--verbose', '--tier', 'settled', '--format', 'csv', q);
    expect(first.stdout).toBe('host,v\n');
    expect(first.stderr).toMatch(/^varve-tiers: settled$/m);
    const snapshot = /^varve-snapshot: (\S+)$/m.exec(first.stderr)?.[1] ?? '';
    expect((await sql('--snapshot', snapshot, '--format', 'csv', q)).stdout).toBe('host,v\n');
  });

  it('ends with 1 and the words of the server when the SQL is wrong', async () => {
    const result = await sql('SELECT * FROM cpuu');
    expect([result.status, result.stdout]).toEqual([1, '']);
    expect(result.stderr).toBe(
      'varve: query: got table "cpuu"; want a table of database "cli", such as "cpu"\n',
    );
    const params = await sql('--params', '{host', q);
    expect([params.status, params.stderr]).toEqual([
      1,
      'varve: --params: got {host; want a JSON object, such as {"host": "a"}\n',
    ]);
  });
});

describe('the commands of operators', () => {
  it('list, make and delete databases', async () => {
    const made = await varve(['databases', 'create', 'ops', '--window', '1m', '--retention', '30d']);
    expect(made).toMatchObject({ status: 0, stdout: 'made database ops\n', stderr: '' });
    const again = await varve(['databases', 'create', 'ops']);
    expect([again.status, again.stderr]).toEqual([1, 'varve: create database "ops": it exists already\n']);
    const list = JSON.parse((await varve(['databases', 'list'])).stdout) as Record<string, unknown>[];
    expect(list.find((database) => database['iox::database'] === 'ops')).toMatchObject({
      window: '1m',
      retention: '30d',
    });
    expect((await varve(['databases', 'delete', 'ops'])).stdout).toBe('deleted database ops\n');
    const gone = await varve(['databases', 'delete', 'ops']);
    expect([gone.status, gone.stderr]).toEqual([1, 'varve: delete database: there is no database "ops"\n']);
  });

  it('settle, show what is settled, merge and verify', async () => {
    const db = ['--db', 'settling'];
    const point = (number: number): Promise<CommandResult> =>
      varve(['write', ...db, '-'], `cpu v=${number}i ${1_600_000_000 + number}`);
    await point(1);
    const status = await varve(['status']);
    expect(status.stdout).toMatch(/^\{"status":"ready"\}\n/);
    expect(status.stdout).toMatch(/^settling: .*1 tables, 0 settled rows, 1 groups in flux$/m);
    expect(status.stdout).toMatch(/^meta store, requests since the start: .*\b\d+ put \(/m);
    const sealed = await varve(['seal', ...db]);
    expect(JSON.parse(sealed.stdout)).toMatchObject({
      database: 'settling',
      waiting: [],
      sealed: [{ rows: 1 }],
    });
    const settled = await varve(['settled', ...db]);
    expect(JSON.parse(settled.stdout)).toMatchObject({
      tables: [{ table: 'cpu', files: 1, rows: 1 }],
      groups: [],
    });
    await point(2);
    await varve(['seal', ...db, '--before', '2020-01-01T00:00:00Z']);
    const compacted = await varve(['compact', ...db, '--table', 'cpu']);
    expect(JSON.parse(compacted.stdout)).toMatchObject({
      tables: [{ table: 'cpu', files_before: 2, files_after: 1 }],
    });
    const verified = await varve(['verify', ...db]);
    expect(verified.status).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, files: 1, differences: [] });
  });

  it('end with 1 for a database that is not there and a time that is none', async () => {
    const attempts = [
      ['settled', '--db', 'nowhere'],
      ['seal', '--db', 'nowhere'],
      ['compact', '--db', 'nowhere'],
      ['verify', '--db', 'nowhere'],
      ['seal', '--db', 'cli', '--before', 'yesterday'],
    ];
    for (const args of attempts) {
      const result = await varve(args);
      expect([args, result.status, result.stdout]).toEqual([args, 1, '']);
      expect(result.stderr).toMatch(/^varve: .*(nowhere|yesterday).*\n$/);
    }
  });

  it('end with 1 when no server is there, saying so', async () => {
    const result = await runCommand(['status', '--url', 'http://127.0.0.1:1']);
    expect(result.status).toBe(1);
    expect(result.stderr).toBe('varve: no answer from http://127.0.0.1:1: is the server running there?\n');
  });
});

describe('help and flags', () => {
  const commands = [
    ...['serve', 'ingest', 'compactor', 'query'],
    ...['write', 'sql', 'status', 'settled', 'seal', 'compact', 'verify', 'databases'],
  ];

  it('every command has help, and the first page names every command', async () => {
    const help = await runCommand(['--help']);
    expect(help.status).toBe(0);
    for (const command of commands) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
      const own = await runCommand([command, '--help']);
      expect([command, own.status, own.stderr]).toEqual([command, 0, '']);
      expect(own.stdout).toContain(`Usage: varve ${command}`);
    }
    expect((await runCommand(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('the help of serve shows defaults and environment variables', async () => {
    const { stdout } = await runCommand(['serve', '--help']);
    const flowing = stdout.replaceAll(/\s+/g, ' ');
    expect(flowing).toMatch(/--hot-bytes-max <size> [^-]*default: 2GiB, env: VARVE_HOT_BYTES_MAX/);
    expect(flowing).toMatch(/--data-dir <path> [^-]*env: VARVE_DATA_DIR/);
  });

  it.each([
    [['serve', '--window', 'soon'], '--window'],
    [['serve', '--window', '10'], '--window'],
    [['serve', '--hot-bytes-max', '2 potatoes'], '--hot-bytes-max'],
    [['serve', '--port', '-1'], '--port'],
    [['serve', '--port', '70000'], 'want a whole number of 0 to 65535'],
    [['serve', '--query-threads', '0'], '--query-threads'],
    [['serve', '--query-threads', ''], '--query-threads'],
    [['serve', '--log-level', 'loud'], '--log-level'],
    [['serve', '--object-store', 'ftp:x', '--data-dir', '$DIR'], '--object-store: got "ftp:x"'],
    [['serve', '--meta-store', 'x', '--data-dir', '$DIR'], '--meta-store: got "x"'],
    [['serve', '--nonsense'], '--nonsense'],
    [['serve', 'more'], 'argument'],
    [['sql', '--db', 'cli'], "argument 'query'"],
    [['sql', 'SELECT 1'], '--db'],
    [['sql', '--db', 'cli', '--format', 'xml', 'SELECT 1'], 'pretty'],
    [['write', '--db', 'cli', '--precision', 'day', 'x'], 'nanosecond'],
    [['melt'], 'melt'],
  ])('wrong ones end with 1 and are named: %j', async (args, named) => {
    const result = await runCommand(args.map((arg) => (arg === '$DIR' ? join(folder, 'unused') : arg)));
    expect([result.status, result.stdout]).toEqual([1, '']);
    expect(result.stderr).toContain(named);
    expect(result.stderr).not.toContain('    at ');
  });

  it('a port that is taken ends serve with 1 and a line that names it', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = String(typeof address === 'object' ? address?.port : 0);
    const result = await runCommand(['serve', '--port', port, '--data-dir', join(folder, 'taken')]);
    holder.close();
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(new RegExp(`^varve: .*EADDRINUSE.*:${port}\\n$`, 'm'));
    expect(result.stderr).not.toContain('    at ');
  });

  it('environment variables stand for flags, and flags before them', async () => {
    const path = makeDataDir();
    const env = {
      VARVE_TABLES_MAX: '1',
      VARVE_WINDOW: '2m',
      VARVE_LATE_DELAY: '7m',
      VARVE_LOG_LEVEL: 'warn',
    };
    const other = await startTestServer({ dataDir: path, flags: ['--window', '3m'], env });
    try {
      const write = (body: string): Promise<Response> =>
        other.client.request('/write', {
          method: 'POST',
          query: { db: 'd' },
          body: new TextEncoder().encode(body),
        });
      await write('one v=1i 1');
      await expect(write('two v=1i 1')).rejects.toMatchObject({ status: 400 });
      const list = await other.client.json('/api/v3/configure/database');
      expect(list).toMatchObject([{ window: '3m', late_delay: '7m' }]);
    } finally {
      await other.kill();
      removeDataDir(path);
    }
  });
});
