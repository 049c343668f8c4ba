/** Shows how far long work is: a line redrawn in place on a terminal, nothing elsewhere. */
export interface Progress {
  /** `done` of `total` (of unknown size when null), with words about it. */
  update(done: number, total: number | null, text: string): void;
  /** Leaves the last line standing. */
  finish(): void;
}

const barWidth = 28;
const redrawMs = 80;

/** A progress line on a stream; silent when the stream is no terminal. */
export function terminalProgress(stream: NodeJS.WriteStream, nowMs: () => number): Progress {
  if (!stream.isTTY) return { update: () => {}, finish: () => {} };
  let drawnMs = Number.NEGATIVE_INFINITY;
  let last = '';
  const draw = (line: string): void => {
    stream.write(`\r\u001b[2K${line.slice(0, Math.max(20, (stream.columns ?? 100) - 1))}`);
  };
  return {
    update(done, total, text) {
      last = `${progressBar(total === null || total === 0 ? null : done / total)} ${text}`;
      if (nowMs() - drawnMs < redrawMs) return;
      drawnMs = nowMs();
      draw(last);
    },
    finish() {
      if (last === '') return;
      draw(last);
      stream.write('\n');
      last = '';
    },
  };
}

/** `[#####-----]  50 %`, or a bar without a figure when the share is not known. */
export function progressBar(share: number | null): string {
  if (share === null) return `[${'·'.repeat(barWidth)}]     `;
  const clamped = Math.min(1, Math.max(0, share));
  const full = Math.round(clamped * barWidth);
  return `[${'#'.repeat(full)}${'-'.repeat(barWidth - full)}] ${String(Math.floor(clamped * 100)).padStart(3)} %`;
}
