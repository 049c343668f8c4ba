import type { SnapshotOutline, TableRecord } from '../catalog/types.js';
import type { ObjectStore } from '../ports/object-store.js';
import { BoundedCache } from './bounded-cache.js';
import { forEachBounded } from './for-each-bounded.js';
import { type LoadedManifest, liveFiles } from './loaded-manifest.js';
import type { ManifestEntry } from './manifest.js';
import { manifestContext } from './manifest-context.js';
import { decodeManifest } from './manifest-decoder.js';
import { decodeManifestList, type ManifestFile } from './manifest-list.js';
import {
  type ManifestPlace,
  outlinedContext,
  outlinedManifests,
  outlinedSchema,
  type TimeBounds,
} from './snapshot-outline.js';
import type { SortOrder } from './sort-order.js';
import { decodeTableMetadata, type Snapshot, schemaById, type TableMetadata } from './table-metadata.js';
import type { IcebergSchema } from './table-schema.js';
import type { DataFile } from './types.js';

/** Objects read at once for one question. */
export const parallelReads = 16;

/** Rough sizes of parsed objects in memory, for the bound of the cache. */
const metadataWeight = 4;
const manifestLineWeight = 600;
const fileWeight = 1000;
/** Statistics are kept as they stand in the inflated manifest: about so many bytes for one of the file. */
const manifestWeight = 6;

/** Reads metadata files, manifest lists and manifests through a bounded cache; all of them are immutable. */
export class HistoryReader {
  readonly #objects: ObjectStore;
  readonly #metadata: BoundedCache<TableMetadata>;
  readonly #lists: BoundedCache<readonly ManifestFile[]>;
  readonly #manifests: BoundedCache<readonly ManifestEntry[]>;
  readonly #files: BoundedCache<readonly DataFile[]>;

  /** `cacheBytesMax`: estimated bytes of memory for all that is kept. */
  constructor(objects: ObjectStore, cacheBytesMax: number) {
    this.#objects = objects;
    this.#metadata = new BoundedCache(cacheBytesMax / 4);
    this.#lists = new BoundedCache(cacheBytesMax / 8);
    this.#files = new BoundedCache(cacheBytesMax / 4);
    this.#manifests = new BoundedCache(cacheBytesMax / 2);
  }

  metadata(key: string): Promise<TableMetadata> {
    return this.#metadata.get(key, async () => {
      const bytes = await this.#objects.get(key);
      return { value: decodeTableMetadata(key, bytes), weight: bytes.length * metadataWeight };
    });
  }

  /** The manifest list of a snapshot. */
  manifestList(snapshot: Snapshot): Promise<readonly ManifestFile[]> {
    const key = this.#objects.keyOf(snapshot['manifest-list']);
    return this.#lists.get(key, async () => {
      const bytes = await this.#objects.get(key);
      const lines = decodeManifestList(key, bytes, (uri) => this.#objects.keyOf(uri));
      return { value: lines, weight: (lines.length + 1) * manifestLineWeight };
    });
  }

  /** All manifests of a snapshot with their entries, in the order of the list. */
  async manifests(metadata: TableMetadata, snapshot: Snapshot): Promise<readonly LoadedManifest[]> {
    const lines = await this.manifestList(snapshot);
    const loaded: LoadedManifest[] = [];
    await forEachBounded(lines, parallelReads, async (line, index) => {
      loaded[index] = { line, entries: await this.manifest(line, metadata) };
    });
    return loaded;
  }

  /** The live data files of a snapshot, in the order of its manifests. */
  files(metadata: TableMetadata, snapshot: Snapshot): Promise<readonly DataFile[]> {
    return this.#files.get(snapshot['manifest-list'], async () => {
      const files = [...liveFiles(await this.manifests(metadata, snapshot)).values()];
      return { value: files, weight: (files.length + 1) * fileWeight };
    });
  }

  /** The live data files of the manifests within the bounds, from the outline in the table's record. */
  async outlinedFiles(
    record: TableRecord & { readonly metadataKey: string },
    outline: SnapshotOutline,
    within: TimeBounds,
  ): Promise<readonly DataFile[]> {
    const places = outlinedManifests(record.metadataKey, outline, within);
    const load = async (): Promise<readonly DataFile[]> => {
      const { schema, sortOrders } = outlinedContext(outlinedSchema(record, outline), outline);
      const loaded: { readonly entries: readonly ManifestEntry[] }[] = [];
      await forEachBounded(places, parallelReads, async (place, index) => {
        loaded[index] = { entries: await this.#entries(place, sortOrders, schema) };
      });
      return [...liveFiles(loaded).values()];
    };
    // A part is put together anew each time: its manifests are in the cache, and parts are many.
    if (places.length < outline.manifests.length) return load();
    return this.#files.get(`${record.tableUuid}/${record.snapshotId}`, async () => {
      const files = await load();
      return { value: files, weight: (files.length + 1) * fileWeight };
    });
  }

  /** The entries of a manifest; `metadata` is any that names it. */
  manifest(line: ManifestFile, metadata: TableMetadata): Promise<readonly ManifestEntry[]> {
    return this.#entries(line, metadata['sort-orders'], schemaById(metadata, metadata['current-schema-id']));
  }

  #entries(
    line: ManifestFile | ManifestPlace,
    sortOrders: readonly SortOrder[],
    schema: IcebergSchema,
  ): Promise<readonly ManifestEntry[]> {
    return this.#manifests.get(line.key, async () => {
      const bytes = await this.#objects.get(line.key);
      const uris = {
        uriOf: (key: string) => this.#objects.uriOf(key),
        keyOf: (uri: string) => this.#objects.keyOf(uri),
      };
      const context = manifestContext(uris, sortOrders, schema);
      const entries = decodeManifest(line, bytes, context);
      const weight = (entries.length + 1) * fileWeight + bytes.length * manifestWeight;
      return { value: entries, weight };
    });
  }
}
