import { errorBody } from '../../core/http/error-answer.js';
import { errorTraits } from '../../core/std/errors.js';
import type { WriteApi } from '../protocols/line-protocol/precision.js';
import type { LevelNotMetError } from '../write-contract.js';

/** A status and the JSON that goes with it; no body where it is undefined. */
export interface WriteAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object | undefined;
}

/** A line that was not written, with as much of its text as is known. */
export interface UnwrittenLine {
  readonly lineNumber: number;
  readonly line: string;
  readonly message: string;
}

/** What became of the lines of a request. */
export interface WriteSummary {
  /** Lines that parsed. */
  readonly decoded: number;
  readonly written: number;
  /** All lines that were not written because something was wrong with them. */
  readonly rejectedCount: number;
  /** The first of them, in order of line. */
  readonly rejected: readonly UnwrittenLine[];
}

/** Lines that the answer lists; of the others it tells the number. */
export const listedLinesMax = 100;
const listedInTextMax = 10;

/**
 * The answer to a request, in the shape of its API (see docs/line-protocol.md). Telegraf tells errors that no retry
 * can mend by the words "unable to parse" and "partial write".
 */
export function writeAnswer(api: WriteApi, summary: WriteSummary): WriteAnswer {
  if (summary.rejectedCount === 0) return { status: 204, body: undefined };
  const status = errorTraits.invalid.httpStatus;
  switch (api) {
    case 'v1':
      return {
        status,
        body: { error: `${headline(summary)}: ${linesText(summary)} dropped=${dropped(summary)}` },
      };
    case 'v2': {
      const line = summary.rejected[0]?.lineNumber;
      return {
        status,
        body: { code: 'invalid', message: `${headline(summary)}: ${linesText(summary)}`, line },
      };
    }
    case 'v3':
      return {
        status,
        body: { error: v3Error(summary), data: summary.rejected.slice(0, listedLinesMax).map(v3Line) },
      };
  }
}

/** The answer when some shard has too few copies: who has what, so that the caller can judge; a retry is safe. */
export function levelNotMetAnswer(path: string, error: LevelNotMetError): WriteAnswer {
  return {
    status: errorTraits.unavailable.httpStatus,
    headers: { 'retry-after': String(error.retryAfterSeconds) },
    body: { ...errorBody(path, 'unavailable', error.message), retry: 'safe', shards: error.shards },
  };
}

function headline({ decoded }: WriteSummary): string {
  return decoded === 0 ? 'unable to parse' : 'partial write';
}

function dropped({ decoded, written, rejectedCount }: WriteSummary): number {
  return written === 0 && decoded > 0 ? Math.max(rejectedCount, decoded) : rejectedCount;
}

function linesText({ rejected, rejectedCount }: WriteSummary): string {
  const listed = rejected.slice(0, listedInTextMax);
  const rest = rejectedCount - listed.length;
  const text = listed.map((line) => `line ${line.lineNumber}: ${line.message}`).join('; ');
  return rest === 0 ? text : `${text}; and ${rest} more lines`;
}

function v3Error({ decoded, written, rejectedCount, rejected }: WriteSummary): string {
  const listed = Math.min(rejected.length, listedLinesMax);
  const more = rejectedCount > listed ? ` (${rejectedCount} lines rejected, the first ${listed} listed)` : '';
  if (written > 0) return `partial write of line protocol occurred${more}`;
  return `${decoded === 0 ? 'parsing failed for write_lp endpoint' : 'write of line protocol refused'}, nothing was written${more}`;
}

function v3Line({ lineNumber, line, message }: UnwrittenLine): object {
  return { line_number: lineNumber, original_line: line, error_message: message };
}
