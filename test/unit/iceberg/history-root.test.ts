import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { emptyHistoryRoot, historyRoot } from '../../../core/iceberg/history-root.js';

function file(letter: string, sequence: number) {
  return { contentHash: letter.repeat(64), sequence };
}

const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(64));

test.each([
  ['no file', [], ''],
  ['one file', [file('a', 7)], `${a}\n`],
  ['files of one commit, by hash', [file('b', 3), file('a', 3)], `${a}\n${b}\n`],
  ['files of several commits, by order', [file('a', 9), file('c', 4), file('b', 4)], `${b}\n${c}\n\n${a}\n`],
])('the root of %s is the SHA-256 of its lines', (_, files, text) => {
  expect(historyRoot(files)).toBe(createHash('sha256').update(text).digest('hex'));
});

test('the root of an empty history is known', () => {
  expect(emptyHistoryRoot).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

test('the order of files and the numbers themselves do not matter, the order of precedence does', () => {
  const root = historyRoot([file('a', 1), file('b', 2)]);
  expect(historyRoot([file('b', 2), file('a', 1)])).toBe(root);
  expect(historyRoot([file('a', 5), file('b', 9)])).toBe(root);
  expect(historyRoot([file('a', 2), file('b', 1)])).not.toBe(root);
  expect(historyRoot([file('a', 1), file('b', 1)])).not.toBe(root);
});
