import { Writable } from 'node:stream';
import { type Logger as PinoLogger, pino } from 'pino';

/** What the logging flags say. */
export interface LogFlags {
  readonly logLevel: string;
  /** json: one object a line; text: for people. */
  readonly logFormat: string;
}

const levelNames: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/** The process's logger, on standard error so that standard output stays for answers. */
export function openLogger(flags: LogFlags): PinoLogger {
  const options = { level: flags.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (flags.logFormat === 'json') return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(options, new TextLines());
}

/** Turns pino's JSON lines into `time LEVEL message key=value …`. */
class TextLines extends Writable {
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    for (const line of chunk.toString('utf8').split('\n'))
      if (line !== '') process.stderr.write(`${formatLine(line)}\n`);
    done();
  }
}

function formatLine(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  );
  return [
    String(time),
    (levelNames[Number(level)] ?? String(level)).padEnd(5),
    String(msg ?? ''),
    ...rest,
  ].join(' ');
}
