import { expect, test } from 'vitest';
import { BoundedCache } from '../../../core/iceberg/bounded-cache.js';

/** A cache with a load that counts and names what it loaded. */
function counted(weightMax: number) {
  const cache = new BoundedCache<string>(weightMax);
  const loads: string[] = [];
  const get = (key: string, weight = 1): Promise<string> =>
    cache.get(key, async () => {
      loads.push(key);
      return { value: `value of ${key}`, weight };
    });
  return { cache, loads, get };
}

test('loads a key once, also for callers that ask at the same time', async () => {
  const { loads, get } = counted(10);
  expect(await Promise.all([get('a'), get('a')])).toEqual(['value of a', 'value of a']);
  expect(await get('a')).toBe('value of a');
  expect(loads).toEqual(['a']);
});

test('lets the least recently used go when the weights pass the limit', async () => {
  const { cache, loads, get } = counted(3);
  for (const key of ['a', 'b', 'c']) await get(key);
  await get('a');
  await get('d');
  expect(cache.weight).toBe(3);
  await get('a');
  await get('b');
  expect(loads).toEqual(['a', 'b', 'c', 'd', 'b']);
});

test('does not keep what is heavier than the limit', async () => {
  const { cache, get } = counted(3);
  expect(await get('a', 4)).toBe('value of a');
  expect(cache.weight).toBe(0);
});

test('forgets a load that failed', async () => {
  const cache = new BoundedCache<string>(3);
  const failing = cache.get('a', () => Promise.reject(new Error('out of reach')));
  await expect(failing).rejects.toThrow('out of reach');
  expect(await cache.get('a', async () => ({ value: 'here', weight: 1 }))).toBe('here');
});
