import { influxdb } from './influxdb.js';
import type { System, SystemName } from './system.js';
import { systemNames } from './system.js';
import { varve } from './varve.js';
import { victoriaMetrics } from './victoria-metrics.js';

const servers: readonly System[] = [varve, influxdb, victoriaMetrics];

/** What a run is to measure. */
export interface Lineup {
  /** Installed systems that take lines. */
  readonly servers: readonly System[];
  /** Whether DuckDB over one file is asked too. */
  readonly sortedParquet: boolean;
  /** Asked for and not installed. */
  readonly missing: readonly SystemName[];
}

/** Which of the named systems can run here. `all` names every one; an unknown name is an error. */
export function lineupOf(names: string, known: readonly System[] = servers): Lineup {
  const wanted = names === 'all' ? systemNames : names.split(',').map(systemNameOf);
  const asked = known.filter(({ name }) => wanted.includes(name));
  const installed = asked.filter((system) => system.version() !== undefined);
  return {
    servers: installed,
    sortedParquet: wanted.includes('sorted-parquet'),
    missing: asked.filter((system) => !installed.includes(system)).map(({ name }) => name),
  };
}

function systemNameOf(text: string): SystemName {
  const name = systemNames.find((candidate) => candidate === text.trim());
  if (name === undefined)
    throw new Error(`systems: got "${text}"; want all or some of ${systemNames.join(', ')}`);
  return name;
}
