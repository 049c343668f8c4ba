// Makes the bucket and the table on an emulator of AWS, unless they are there. As a program it reads the environment that
// every tool of AWS reads (AWS_ENDPOINT_URL, AWS_REGION, credentials) and BUCKET and TABLE.
import { pathToFileURL } from 'node:url';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';

/** Makes the bucket and the table; their shape is that of docs/aws.md. */
export async function makeBucketAndTable({ endpoint, region, bucket, table }) {
  const connection = { endpoint, region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
  const s3 = new S3Client({ ...connection, forcePathStyle: true });
  const dynamoDb = new DynamoDBClient(connection);
  await unlessThere(
    () => s3.send(new CreateBucketCommand({ Bucket: bucket })),
    ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'],
  );
  await s3.send(new HeadBucketCommand({ Bucket: bucket }));
  await unlessThere(
    () =>
      dynamoDb.send(
        new CreateTableCommand({
          TableName: table,
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [
            { AttributeName: 'pk', AttributeType: 'S' },
            { AttributeName: 'sk', AttributeType: 'S' },
          ],
          KeySchema: [
            { AttributeName: 'pk', KeyType: 'HASH' },
            { AttributeName: 'sk', KeyType: 'RANGE' },
          ],
        }),
      ),
    ['ResourceInUseException'],
  );
  await unlessThere(
    () =>
      dynamoDb.send(
        new UpdateTimeToLiveCommand({
          TableName: table,
          TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true },
        }),
      ),
    // Enabled already.
    ['ValidationException'],
  );
  await dynamoDb.send(new DescribeTableCommand({ TableName: table }));
  s3.destroy();
  dynamoDb.destroy();
}

async function unlessThere(make, names) {
  try {
    await make();
  } catch (error) {
    if (!(error instanceof Error) || !names.includes(error.name)) throw error;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region = 'us-east-1',
    BUCKET = 'varve',
    TABLE = 'varve',
  } = process.env;
  if (endpoint === undefined) {
    console.error('got no AWS_ENDPOINT_URL; want the URL of an emulator: real stores are made by infra/');
    process.exit(1);
  }
  await makeBucketAndTable({ endpoint, region, bucket: BUCKET, table: TABLE });
  console.log(`bucket ${BUCKET} and table ${TABLE} are there`);
}
