import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { databaseCodec, droppedDatabaseCodec } from '../../../core/catalog/database-codec.js';
import { groupListCodec } from '../../../core/catalog/group-codec.js';
import { leaseCodec } from '../../../core/catalog/lease-catalog.js';
import { nodeCodec } from '../../../core/catalog/node-catalog.js';
import type { RecordCodec } from '../../../core/catalog/record-store.js';
import { normalizeSequenceRanges, packSequenceRanges } from '../../../core/catalog/sequence-ranges.js';
import { tableCodec } from '../../../core/catalog/table-codec.js';
import type {
  GroupList,
  Lease,
  NodeRecord,
  SequenceRange,
  TableRecord,
} from '../../../core/catalog/types.js';
import type { GroupId } from '../../../core/model/batch.js';
import { database, node } from './fixture.js';

const groupList: GroupList = {
  database: 'metrics',
  settledThroughNs: -600_000_000_000n,
  openFromNs: 9_223_372_036_854_775_807n,
  nextGroup: 3,
  nextCloseSequence: 2,
  fencingEpoch: 4,
  groups: [
    {
      id: 'w000000000001' as GroupId,
      kind: 'window',
      startNs: 0n,
      endNs: 600_000_000_000n,
      createdMs: 1,
      closeAfterMs: 900_000,
      state: 'sealed',
      closeSequence: 1,
      closedMs: 900_001,
      shards: [{ owners: [node('n1'), node('n2')] }, { owners: [node('n2')] }],
      sealedBatches: [
        { origin: node('n1'), epoch: 1, first: 1, last: 10 },
        { origin: node('n1'), epoch: 1, first: 15, last: 15 },
        { origin: node('n1'), epoch: 2, first: 40, last: 1335 },
      ],
      sealedMs: 900_002,
      released: [node('n1')],
    },
    {
      id: 'l000000000002' as GroupId,
      kind: 'late',
      startNs: null,
      endNs: null,
      createdMs: 2,
      closeAfterMs: 60_002,
      state: 'open',
      closeSequence: null,
      closedMs: null,
      shards: [{ owners: [node('n1')] }],
      sealedBatches: null,
      sealedMs: null,
      released: [],
    },
  ],
};

const table: TableRecord = {
  database: 'metrics',
  table: 'cpu',
  schema: {
    table: 'cpu',
    columns: [
      { name: 'host', kind: 'tag', type: 'string', fieldId: 3 },
      { name: 'tag', kind: 'field', type: 'string', fieldId: 4 },
      { name: 'n', kind: 'field', type: 'ubigint', fieldId: 5 },
    ],
    hasTimeNs: true,
  },
  tableUuid: '5b9b1afd-0000-4000-8000-000000000000',
  metadataKey: 'db/t/metadata/v1.metadata.json',
  snapshotId: '9223372036854775807',
  historyRoot: 'ab',
  sealedGroups: ['w000000000001' as GroupId],
  fencingEpoch: 4,
};

const outlined: TableRecord = {
  ...table,
  outline: {
    columns: 2,
    hasTimeNs: false,
    sortOrders: [{ id: 1, fieldIds: [3, 1] }],
    manifests: [
      {
        name: '5b9b1afd-0000-4000-8000-000000000001-m0',
        specId: 0,
        minTimeNs: -1n,
        maxTimeNs: 599_999_999_999n,
      },
      { name: '5b9b1afd-0000-4000-8000-000000000002-m1', specId: 1, minTimeNs: 0n, maxTimeNs: 0n },
    ],
  },
};

const lease: Lease = { name: 'compactor', holder: 'n1/7', epoch: 3, expiresMs: 10 };
const nodeRecord: NodeRecord = {
  node: node('n1'),
  epoch: 2,
  address: null,
  heartbeatMs: 5,
  state: 'draining',
};

/** The text of every kind of item as docs/formats/catalog.md shows it. */
const golden = {
  database:
    '{"format":1,"name":"metrics","id":"018cc251f400aaaaaaaaaaaaaaaaaaaa","createdMs":1704067200000,' +
    '"windowMs":600000,"graceMs":300000,"lateDelayMs":60000,"lateBytesMax":268435456,"retentionMs":null,' +
    '"historyMs":86400000,"replication":1,"shards":1,"consistency":"quorum"}',
  groups:
    '{"format":1,"database":"metrics","settledThroughNs":"-600000000000","openFromNs":"9223372036854775807",' +
    '"nextGroup":3,"nextCloseSequence":2,"fencingEpoch":4,"groups":[{"id":"w000000000001","kind":"window",' +
    '"startNs":"0","endNs":"600000000000","createdMs":1,"closeAfterMs":900000,"state":"sealed",' +
    '"closeSequence":1,"closedMs":900001,"shards":[["n1","n2"],["n2"]],' +
    '"sealedBatches":[{"origin":"n1","epoch":1,"runs":"0+9,4"},{"origin":"n1","epoch":2,"runs":"13+zz"}],' +
    '"sealedMs":900002,"released":["n1"]},{"id":"l000000000002","kind":"late","startNs":null,"endNs":null,' +
    '"createdMs":2,"closeAfterMs":60002,"state":"open","closeSequence":null,"closedMs":null,' +
    '"shards":[["n1"]],"sealedBatches":null,"sealedMs":null,"released":[]}]}',
  table:
    '{"format":1,"database":"metrics","table":"cpu","tableUuid":"5b9b1afd-0000-4000-8000-000000000000",' +
    '"metadataKey":"db/t/metadata/v1.metadata.json","snapshotId":"9223372036854775807","historyRoot":"ab",' +
    '"sealedGroups":["w000000000001"],"fencingEpoch":4,"hasTimeNs":true,' +
    '"columns":[["tag","host"],["string","tag"],["ubigint","n"]]}',
  lease: '{"format":1,"name":"compactor","holder":"n1/7","epoch":3,"expiresMs":10}',
  node: '{"format":1,"node":"n1","epoch":2,"address":null,"heartbeatMs":5,"state":"draining"}',
};

const goldenOutlined =
  `${golden.table.slice(0, -1)},"outline":{"columns":2,"hasTimeNs":false,"sortOrders":[[1,[3,1]]],"manifests":[` +
  '{"name":"5b9b1afd-0000-4000-8000-000000000001-m0","specId":0,"minTimeNs":"-1","maxTimeNs":"599999999999"},' +
  '{"name":"5b9b1afd-0000-4000-8000-000000000002-m1","specId":1,"minTimeNs":"0","maxTimeNs":"0"}]}}';

const dropped = { database, droppedMs: 1704067200001 };
const goldenDropped = `${golden.database.slice(0, -1)},"droppedMs":1704067200001}`;

/** One entry a kind of item, its type hidden so that all fit one table. */
const entry = <T>(name: string, codec: RecordCodec<T>, record: T, text: string) => ({
  name,
  encoded: codec.encode(record),
  decode: (from: string): unknown => codec.decode(`key/of/${name}`, from),
  record: record as unknown,
  text,
});
const entries = [
  entry('database', databaseCodec, database, golden.database),
  entry('dropped', droppedDatabaseCodec, dropped, goldenDropped),
  entry('groups', groupListCodec, groupList, golden.groups),
  entry('table', tableCodec, table, golden.table),
  entry('outlined table', tableCodec, outlined, goldenOutlined),
  entry('lease', leaseCodec, lease, golden.lease),
  entry('node', nodeCodec, nodeRecord, golden.node),
];

describe.each(entries)('the item of a $name', ({ name, encoded, decode, record, text }) => {
  it('is written as documented and read back', () => {
    expect(encoded).toBe(text);
    expect(decode(text)).toEqual(record);
  });

  it('is refused by name when its format is unknown', () => {
    const error = `catalog item key/of/${name}: got format 2; this version of Varve reads format 1`;
    expect(() => decode(text.replace('"format":1', '"format":2'))).toThrow(error);
    expect(() => decode(text.replace('"format":1', '"format":"1"'))).toThrow('want a whole number');
  });

  it('is refused as corrupt when it is cut anywhere', () => {
    for (let length = 0; length < text.length; length++) {
      expect(() => decode(text.slice(0, length))).toThrowError(
        expect.objectContaining({ kind: 'corrupt' }) as Error,
      );
    }
  });

  it('is refused when a member lacks or has another type, naming key and member', () => {
    const members = Object.keys(JSON.parse(text) as object);
    for (const member of members) {
      for (const wrong of [undefined, { wrong: true }]) {
        // The one member that may be left out.
        if (member === 'outline' && wrong === undefined) continue;
        const damaged = JSON.stringify({ ...(JSON.parse(text) as object), [member]: wrong });
        expect(() => decode(damaged)).toThrow(
          new RegExp(`catalog item key/of/${name}: got .* at ${member}(\\.columns)?; want`),
        );
      }
    }
    for (const wrong of ['null', '[]', '7', '"x"']) expect(() => decode(wrong)).toThrow('want an object');
  });
});

describe('the item of a group list', () => {
  it.each<[string, string, string]>([
    ['"id":"w000000000001"', '"id":"x1"', 'got "x1" at groups[0].id; want "w" or "l" and 12 digits'],
    [
      '"state":"sealed"',
      '"state":"gone"',
      'got "gone" at groups[0].state; want "open" or "closing" or "sealed"',
    ],
    ['"startNs":"0"', '"startNs":"1e3"', 'got "1e3" at groups[0].startNs; want an integer as text'],
    ['"released":["n1"]', '"released":["n 1"]', 'got "n 1" at groups[0].released[0]; want 1 to 64'],
    ['"runs":"0+9,4"', '"runs":"0+"', 'got "0+" at groups[0].sealedBatches[0].runs; want runs such as'],
    ['["n2"]]', '"n2"]', 'got "n2" at groups[0].shards[1]; want a list'],
  ])('names what is wrong with %s', (from, to, message) => {
    expect(golden.groups).toContain(from);
    expect(() => groupListCodec.decode('groups/x', golden.groups.replace(from, to))).toThrow(message);
  });
});

describe('packed sequence ranges', () => {
  const ranges = fc.array(
    fc.record({
      origin: fc.constantFrom(node('a'), node('b')),
      epoch: fc.integer({ min: 1, max: 3 }),
      first: fc.integer({ min: 1, max: 200 }),
      more: fc.integer({ min: 0, max: 5 }),
    }),
    { size: 'large' },
  );
  const members = (all: readonly SequenceRange[]): Set<string> => {
    const named = new Set<string>();
    for (const { origin, epoch, first, last } of all) {
      for (let sequence = first; sequence <= last; sequence++) named.add(`${origin}/${epoch}/${sequence}`);
    }
    return named;
  };
  const alternating = (count: number): SequenceRange[] =>
    Array.from({ length: count }, (_, index) => ({
      origin: node('n1'),
      epoch: 1,
      first: 2 * index + 1,
      last: 2 * index + 1,
    }));
  const listWith = (sealedBatches: readonly SequenceRange[]): GroupList => ({
    ...groupList,
    groups: groupList.groups.slice(0, 1).map((group) => ({ ...group, sealedBatches })),
  });

  it('hold the same sequences, in order and apart, and come back as they were', () => {
    const forms = new Set<string>();
    fc.assert(
      fc.property(ranges, (drawn) => {
        const given = drawn.map(({ more, ...range }) => ({ ...range, last: range.first + more }));
        const normal = normalizeSequenceRanges(given);
        expect(members(normal)).toEqual(members(given));
        expect(normalizeSequenceRanges(normal)).toEqual(normal);
        for (const packed of packSequenceRanges(normal)) forms.add('runs' in packed ? 'runs' : 'bits');
        const list = listWith(normal);
        expect(groupListCodec.decode('groups/x', groupListCodec.encode(list))).toEqual(list);
      }),
    );
    expect([...forms].sort()).toEqual(['bits', 'runs']);
  });

  it('take the form of bits when sequences go by turns', () => {
    const bits = Buffer.alloc(25, 0x55).toString('base64');
    expect(packSequenceRanges(alternating(100))).toEqual([{ origin: 'n1', epoch: 1, first: 1, bits }]);
    const two = [{ origin: node('n1'), epoch: 1, first: 1000, last: 1_000_000 }];
    expect(packSequenceRanges(two)).toEqual([{ origin: 'n1', epoch: 1, runs: 'rr+leu0' }]);
  });

  it('fit the item for as many batches as a window can take on several nodes', () => {
    const nodes = ['n1', 'n2', 'n3'];
    const sealed = nodes.flatMap((name) =>
      alternating(120_000).map((range) => ({ ...range, origin: node(name) })),
    );
    expect(groupListCodec.encode(listWith(sealed)).length).toBeLessThan(125_000);
  });

  it.each(['', 'VVU', 'Vg==', '!!!!'])('are refused when their bits are %j', (bits) => {
    const entry = `{"origin":"n1","epoch":1,"first":1,"bits":"${bits}"}`;
    const text = golden.groups.replace('{"origin":"n1","epoch":1,"runs":"0+9,4"}', entry);
    expect(() => groupListCodec.decode('groups/x', text)).toThrow(
      'at groups[0].sealedBatches[0].bits; want base64 of a bitmap that begins with a 1',
    );
  });
});
