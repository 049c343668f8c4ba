import type { StringValues } from '../../core/model/columns.js';
import type { TagPredicate } from '../../core/ports/hot-reader.js';
import type { SeriesIndex, TagColumn } from './series-index.js';

/** Up to so many series are sorted by comparing their values; more are sorted by ranks, which touch every value. */
const comparedMax = 2048;

const textEncoder = new TextEncoder();

/** Numbers of the series for which all predicates hold, ascending. */
export function filterSeries(index: SeriesIndex, predicates: readonly TagPredicate[]): Int32Array {
  let selected = new Int32Array(index.count);
  for (let series = 0; series < selected.length; series++) selected[series] = series;
  for (const { tag, values } of predicates) {
    const wanted = new Uint8Array(index.values.count + 1);
    for (const value of values) {
      const code = value === null ? 0 : index.values.find(textEncoder.encode(value)) + 1;
      // 0 is absence; a value that no series has is not found and must not be taken for it.
      if (value === null || code > 0) wanted[code] = 1;
    }
    const codes = index.tag(tag)?.codes;
    if (codes !== undefined) selected = keepWanted(selected, codes, wanted);
    else if (wanted[0] === 0) selected = new Int32Array(0);
  }
  return selected;
}

/** Hot loop. */
function keepWanted(selected: Int32Array, codes: Int32Array, wanted: Uint8Array): Int32Array<ArrayBuffer> {
  const kept = new Int32Array(selected.length);
  let count = 0;
  for (let at = 0; at < selected.length; at++) {
    const series = selected[at]!;
    kept[count] = series;
    count += wanted[codes[series]!]!;
  }
  return kept.slice(0, count);
}

/** The series in the order of their tag values: tags by name, absence first, values by bytes. */
export async function orderSeries(
  index: SeriesIndex,
  series: Int32Array,
  giveWay: () => Promise<void>,
): Promise<Int32Array> {
  const tags = index.sortedTags();
  if (series.length <= comparedMax) return sortByValues(index, series, tags);
  const ranks = await index.order.ranks(giveWay);
  let sorted = series;
  // Radix sort, last tag first: each pass is a stable counting sort by the rank of the tag's value.
  for (const { codes } of tags.toReversed()) {
    sorted = sortByRank(sorted, codes, ranks);
    await giveWay();
  }
  return sorted;
}

function sortByValues(index: SeriesIndex, series: Int32Array, tags: readonly TagColumn[]): Int32Array {
  return series.toSorted((left, right) => {
    for (const { codes } of tags) {
      const leftCode = codes[left]!;
      const rightCode = codes[right]!;
      if (leftCode === rightCode) continue;
      if (leftCode === 0) return -1;
      if (rightCode === 0) return 1;
      return index.values.compare(leftCode - 1, rightCode - 1);
    }
    return 0;
  });
}

/** Hot loop. */
function sortByRank(series: Int32Array, codes: Int32Array, ranks: Int32Array): Int32Array {
  const starts = new Int32Array(ranks.length + 1);
  for (let at = 0; at < series.length; at++) starts[ranks[codes[series[at]!]!]! + 1]! += 1;
  for (let rank = 1; rank < starts.length; rank++) starts[rank]! += starts[rank - 1]!;
  const sorted = new Int32Array(series.length);
  for (let at = 0; at < series.length; at++) {
    const each = series[at]!;
    const rank = ranks[codes[each]!]!;
    sorted[starts[rank]!] = each;
    starts[rank]! += 1;
  }
  return sorted;
}

/** A tag over the series of a scan. */
export interface TagDictionary {
  /** The values that some of the series has, each once, ascending by bytes. */
  readonly values: StringValues;
  /** By place of the series in the scan: index into `values`, or -1 where the series lacks the tag. */
  readonly codes: Int32Array;
  readonly hasAbsent: boolean;
}

/** The values of a tag that the series of a scan have. */
export async function tagDictionary(
  index: SeriesIndex,
  tag: TagColumn,
  series: Int32Array,
  giveWay: () => Promise<void>,
): Promise<TagDictionary> {
  const codes = new Int32Array(series.length);
  for (let place = 0; place < codes.length; place++) codes[place] = tag.codes[series[place]!]!;
  if (series.length > comparedMax) return rankedDictionary(index, codes, await index.order.ranks(giveWay));
  const distinct = new Set(codes);
  const hasAbsent = distinct.delete(0);
  const sorted = Int32Array.from(distinct, (code) => code - 1).sort((left, right) =>
    index.values.compare(left, right),
  );
  const places = new Map<number, number>();
  sorted.forEach((value, place) => {
    places.set(value + 1, place);
  });
  return { values: index.values.pack(sorted), codes: codes.map((code) => places.get(code) ?? -1), hasAbsent };
}

/** The same by ranks, in time that grows with the number of series and values alone. */
function rankedDictionary(index: SeriesIndex, codes: Int32Array, ranks: Int32Array): TagDictionary {
  // By rank: the code of a value that occurs, then its place among those that do.
  const byRank = new Int32Array(ranks.length);
  let hasAbsent = false;
  for (const code of codes) {
    if (code === 0) hasAbsent = true;
    else byRank[ranks[code]!] = code;
  }
  const sorted = new Int32Array(ranks.length);
  let count = 0;
  for (let rank = 1; rank < byRank.length; rank++) {
    if (byRank[rank] === 0) continue;
    sorted[count] = byRank[rank]! - 1;
    byRank[rank] = count;
    count += 1;
  }
  for (let place = 0; place < codes.length; place++) {
    codes[place] = codes[place] === 0 ? -1 : byRank[ranks[codes[place]!]!]!;
  }
  return { values: index.values.pack(sorted.subarray(0, count)), codes, hasAbsent };
}
