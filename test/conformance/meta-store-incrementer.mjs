// Adds 1 to the item `n` of an LMDB meta store, `rounds` times, as another process or thread of the machine.
// Speaks to LMDB as core/adapters/meta-store-lmdb.ts does.
import { open } from 'lmdb';

const [folder, rounds] = process.argv.slice(2);
const items = open({
  path: folder,
  noSubdir: false,
  encoding: 'string',
  keyEncoding: 'binary',
  useVersions: true,
  overlappingSync: false,
  eventTurnBatching: false,
  cache: false,
});
const key = Buffer.from('n');
for (let applied = 0; applied < Number(rounds); ) {
  items.resetReadTxn();
  const { value, version } = items.getEntry(key);
  if (await items.put(key, `${Number(value) + 1}`, version + 1, version)) applied++;
}
await items.close();
