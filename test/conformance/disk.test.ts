import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import { describeDisk } from './disk.js';

describeDisk('memory', async () => ({ disk: new MemoryDisk(), dispose: async () => {} }));

describeDisk('file system', async () => {
  const root = await mkdtemp(join(tmpdir(), 'varve-disk-'));
  return {
    disk: new FileSystemDisk(root),
    dispose: () => rm(root, { recursive: true }),
  };
});
