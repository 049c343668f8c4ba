import { describe, expect, it } from 'vitest';
import { FigureLog, hintFigures } from '../../../cli/cluster/figure-log.js';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { silentLogger } from '../../../core/std/logger.js';
import type { DestinationStatus } from '../../../ingest/hints/hints.js';

const status = (hints: number, bytes: number, oldestMs: number | null): DestinationStatus =>
  ({ hints, bytes, oldestMs }) as DestinationStatus;

describe('figures of hints', () => {
  it('are those of all destinations together, and the age of the oldest', () => {
    expect(hintFigures([status(2, 100, 5000), status(0, 0, null), status(1, 50, 1000)], 61_000)).toEqual({
      ...{ Hints: 3, HintBytes: 150, OldestHintSeconds: 60 },
    });
  });

  it('are 0 where nothing is kept, and never negative when the clock was set back', () => {
    const none = { Hints: 0, HintBytes: 0, OldestHintSeconds: 0 };
    expect(hintFigures([], 5000)).toEqual(none);
    expect(hintFigures([status(1, 9, 6000)], 5000)).toMatchObject({ OldestHintSeconds: 0 });
  });

  it.each([
    [0, 0],
    [60_000, 4],
  ])('are logged every %i ms: %i lines in three minutes', async (intervalMs, lines) => {
    const clock = new SimulatedClock({ startMs: 0 });
    const logged: object[] = [];
    const logger = { ...silentLogger, info: (fields: object) => void logged.push(fields) };
    const log = new FigureLog({ clock, logger, hints: () => [], intervalMs } as ConstructorParameters<
      typeof FigureLog
    >[0]);
    log.start();
    await clock.advance(180_000);
    await log.stop();
    expect(logged).toHaveLength(lines);
  });
});
