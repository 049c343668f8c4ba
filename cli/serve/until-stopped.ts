import type { Logger } from '../../core/std/logger.js';

/** A process that serves until it is told to stop. */
export interface Serving {
  readonly url: string;
  readonly logger: Logger;
  /** Ends cleanly: requests under way finish, work stops at a safe point. */
  stop(): Promise<void>;
}

/** Exit status of a process that met a defect of its own (sysexits.h: EX_SOFTWARE). */
const defectStatus = 70;

/**
 * Stops the process on SIGINT or SIGTERM, at once on the second, and when `done` resolves: it has nothing left to do.
 * An error that nobody caught ends it: what was
 * acknowledged is in the WAL, and a process that went on might contradict it.
 */
export function runUntilStopped(running: Serving, done?: Promise<void>): void {
  const end = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    running.logger.error(
      { error: text },
      'ending the process: an error that nobody caught; a restart recovers from the WAL',
    );
    process.exit(defectStatus);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  let stopping = false;
  const stop = (): void => {
    stopping = true;
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        running.logger.error(
          { error: String(error) },
          'could not stop cleanly; what was acknowledged is in the WAL',
        );
        process.exit(1);
      },
    );
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(130);
    running.logger.info(
      { signal },
      'stopping: requests under way finish, what was acknowledged is synced; again to end at once',
    );
    stop();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  void done?.then(() => {
    if (!stopping) stop();
  });
}
