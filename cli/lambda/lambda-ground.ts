import type { Logger as PinoLogger } from 'pino';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import type { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { Clock } from '../../core/ports/clock.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import type { Random } from '../../core/ports/random.js';
import { openDynamoDb, openS3 } from '../serve/aws-stores.js';
import { type Catalogs, openCatalogs } from '../serve/catalogs.js';
import { openLogger } from '../serve/logging.js';
import { openSettledTables } from '../serve/settled-tables.js';
import { type IngestNodes, openIngestNodes } from './ingest-nodes.js';
import { LambdaSettings } from './lambda-settings.js';

/** What a function on AWS Lambda stands on, for as long as its environment lives. */
export interface LambdaGround {
  readonly settings: LambdaSettings;
  readonly logger: PinoLogger;
  readonly clock: Clock;
  readonly random: Random;
  readonly meta: MetaStore;
  readonly objects: ObjectStore;
  readonly catalogs: Catalogs;
  readonly settled: SettledTables;
  readonly nodes: IngestNodes;
}

/**
 * Opens the stores that the function's environment names. Sends no request: a store that is out of reach fails the
 * invocation that needs it, not the start. Errors: `invalid` for settings that are missing or wrong.
 */
export async function openLambdaGround(): Promise<LambdaGround> {
  const settings = new LambdaSettings(process.env);
  const logger = openLogger({ logLevel: settings.text('VARVE_LOG_LEVEL') ?? 'info', logFormat: 'json' });
  const clock = new SystemClock();
  const random = new SystemRandom();
  const objects = await openS3(
    settings.required('VARVE_OBJECT_STORE', 's3://bucket/prefix'),
    settings.isOn('VARVE_S3_PATH_STYLE'),
  );
  const meta = await openDynamoDb(settings.required('VARVE_META_STORE', 'dynamodb://table'));
  const catalogs = openCatalogs({ store: meta, clock, random });
  return {
    settings,
    logger,
    clock,
    random,
    meta,
    objects,
    catalogs,
    settled: openSettledTables({ objects, catalogs, clock, random, logger }),
    nodes: openIngestNodes(settings, catalogs, clock),
  };
}
