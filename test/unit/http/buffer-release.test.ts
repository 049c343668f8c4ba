import { describe, expect, it } from 'vitest';
import { BufferRelease } from '../../../ingest/http/buffer-release.js';

describe('giving back the memory of buffers', () => {
  const release = new BufferRelease();

  it('frees a large buffer at once', () => {
    const before = process.memoryUsage().arrayBuffers;
    const buffers = Array.from({ length: 64 }, () => Buffer.from(new ArrayBuffer(1 << 20)));
    expect(process.memoryUsage().arrayBuffers).toBeGreaterThan(before + (60 << 20));
    for (const buffer of buffers) release.release(buffer);
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual(buffers.map(() => 0));
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(before + (4 << 20));
  });

  it('leaves alone what may share its memory', () => {
    const whole = new Uint8Array(1 << 20).fill(7);
    const part = whole.subarray(0, 1 << 19);
    const pooled = Buffer.from('pooled');
    const shared = new Uint8Array(new SharedArrayBuffer(1 << 20));
    for (const bytes of [part, pooled, shared]) release.release(bytes);
    expect([part[0], pooled.toString(), shared.byteLength]).toEqual([7, 'pooled', 1 << 20]);
  });
});
