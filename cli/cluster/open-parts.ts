/** What a process has opened so far. It is closed in reverse order: when the process stops, and when it cannot start. */
export class OpenParts {
  readonly #closers: (() => Promise<void> | void)[] = [];

  /** Notes how to close what has just been opened. */
  add(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  /** Closes everything, the last first. */
  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) await close();
  }
}

/** Starts a process; when that fails, closes what was opened, so that nothing keeps the process from ending. */
export async function startWithParts<Running>(
  start: (parts: OpenParts) => Promise<Running>,
): Promise<Running> {
  const parts = new OpenParts();
  try {
    return await start(parts);
  } catch (error) {
    await parts.close();
    throw error;
  }
}
