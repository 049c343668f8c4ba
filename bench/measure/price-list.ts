/** List prices of one region on one date, in dollars. Without free tier, taxes and transfer. */
export interface PriceList {
  readonly region: string;
  readonly date: string;
  readonly s3WriteEach: number;
  readonly s3ReadEach: number;
  readonly s3GigabyteMonth: number;
  readonly dynamoDbWriteUnit: number;
  readonly dynamoDbReadUnit: number;
}

/** As docs/deploy.md has them. A month is 30 days here. */
export const priceList: PriceList = {
  region: 'us-east-1',
  date: 'November 2026',
  s3WriteEach: 0.005 / 1000,
  s3ReadEach: 0.0004 / 1000,
  s3GigabyteMonth: 0.023,
  dynamoDbWriteUnit: 0.625 / 1e6,
  dynamoDbReadUnit: 0.125 / 1e6,
};

/** What stores were asked in some span of time. */
export interface StoreUse {
  readonly puts: number;
  readonly gets: number;
  readonly lists: number;
  readonly deletes: number;
  readonly writeUnits: number;
  readonly readUnits: number;
}

export const noStoreUse: StoreUse = { puts: 0, gets: 0, lists: 0, deletes: 0, writeUnits: 0, readUnits: 0 };

/** `factor` times the sum of the parts. */
export function combineUse(parts: readonly StoreUse[], factor = 1): StoreUse {
  const sum = (member: keyof StoreUse): number =>
    factor * parts.reduce((total, part) => total + part[member], 0);
  return {
    puts: sum('puts'),
    gets: sum('gets'),
    lists: sum('lists'),
    deletes: sum('deletes'),
    writeUnits: sum('writeUnits'),
    readUnits: sum('readUnits'),
  };
}

/** Dollars for requests: deletes cost nothing, listings what puts do. */
export function dollarsOf(use: StoreUse, prices: PriceList): number {
  return (
    (use.puts + use.lists) * prices.s3WriteEach +
    use.gets * prices.s3ReadEach +
    use.writeUnits * prices.dynamoDbWriteUnit +
    use.readUnits * prices.dynamoDbReadUnit
  );
}
