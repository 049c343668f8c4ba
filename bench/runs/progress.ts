/** Tells what the bench is doing, to standard error, so that standard output holds figures alone. */
export type Progress = (text: string) => void;

/** Progress for people. */
export const progressToStderr: Progress = (text) => {
  process.stderr.write(`bench: ${text}\n`);
};
