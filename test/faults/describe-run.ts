import { cpus, totalmem } from 'node:os';
import type { FaultRunReport } from './fault-run.js';

const levels = ['any', 'one', 'quorum', 'all'];
const ends = ['acknowledged', 'refused', 'unknown'];

/** A run as Markdown. */
export function describeRun(report: FaultRunReport): string {
  const { options, final } = report;
  const lines = [
    '# A run of faults',
    '',
    `\`npm run test:faults -- --minutes ${Math.round(options.faultMs / 60_000)} --seed ${options.seed} --lines ${options.linesPerSecond}\``,
    '',
    `Seed ${options.seed}, ${Math.round(report.seconds)} s, ${options.linesPerSecond} lines/s asked for by ${options.writers} writers (${Math.round(report.acknowledgedRows / report.loadSeconds)} acknowledged), on`,
    `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}) with ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.versions.node}.`,
    '',
    report.problems.length === 0
      ? `**Everything held.** ${report.acknowledgedRows} points were acknowledged; settled history has each exactly once (${final.settledRows} points, with those whose fate the writer did not learn; ${report.uncertainRows} were such).`
      : `**${report.problems.length} problems.**`,
    ...report.problems.slice(0, 100).map((problem) => `- ${problem}`),
    '',
    `After healing: all ready after ${final.readySeconds.toFixed(1)} s, owners' digests equal after ${final.convergedSeconds.toFixed(1)} s more, all settled after ${final.settledSeconds.toFixed(1)} s more.`,
    `Reads at quorum during the faults: ${report.reads.whole} whole, ${report.reads.unavailable} not answered.`,
    ...memoryLine(report.memoryBytesMax),
    '',
    '| fault | times |',
    '|---|---:|',
    ...Object.entries(report.faults).map(([name, times]) => `| ${name} | ${times} |`),
    ...report.left.map((name) => `| ${name} | cannot be made here |`),
    '',
    `| writes at level | ${ends.join(' | ')} |`,
    `|---|${ends.map(() => '---:').join('|')}|`,
    ...levels.map(
      (level) => `| ${level} | ${ends.map((end) => report.writes[level]?.[end] ?? 0).join(' | ')} |`,
    ),
    '',
    '| what writers were told | times |',
    '|---|---:|',
    ...report.refusals.slice(0, 30).map(([text, times]) => `| ${text.replaceAll('|', '/')} | ${times} |`),
    '',
    ...(report.ended.length === 0 ? [] : ['Processes that ended by themselves:', '']),
    ...report.ended.map((text) => `- ${text.replaceAll('\n', ' ')}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function memoryLine(bytesMax: Readonly<Record<string, number>>): string[] {
  const peaks = Object.entries(bytesMax).map(([name, bytes]) => `${name} ${Math.round(bytes / 2 ** 20)} MiB`);
  return peaks.length === 0
    ? []
    : [`Most memory held, counting at the end included: ${peaks.sort().join(', ')}.`];
}
