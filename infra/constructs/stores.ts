import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

/** The bucket of settled history and the table of the catalog. Both outlive the stack. */
export class Stores extends Construct {
  readonly bucket: Bucket;
  readonly table: TableV2;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bucket = new Bucket(this, 'History', {
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      // Keys are content hashes or unique, and never overwritten: a version would never be anything but a deleted
      // object that the compactor has found to be named by no snapshot, kept and paid for.
      versioned: false,
      lifecycleRules: [
        { id: 'abort-multipart-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
      ],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // The schema is that of core/adapters/meta-store-dynamodb-item.ts, drawn in docs/aws.md.
    this.table = new TableV2(this, 'Catalog', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.dynamoOwnedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      timeToLiveAttribute: 'expires',
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  /** Reading and changing the catalog: deletions are updates that leave a tombstone. */
  grantCatalog(grantee: IGrantable): void {
    this.table.grant(
      grantee,
      'dynamodb:GetItem',
      'dynamodb:Query',
      'dynamodb:UpdateItem',
      'dynamodb:DescribeTable',
    );
  }

  /** Reading the catalog. */
  grantCatalogRead(grantee: IGrantable): void {
    this.table.grant(grantee, 'dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:DescribeTable');
  }

  /** Reading settled history. Without the right to list, S3 answers 403 for an object that is not there. */
  grantHistoryRead(grantee: IGrantable): void {
    this.#grantBucket(grantee);
    this.#grantObjects(grantee, 's3:GetObject');
  }

  /** Writing settled history and deleting what no snapshot names. */
  grantHistoryWrite(grantee: IGrantable): void {
    this.#grantBucket(grantee);
    this.#grantObjects(grantee, 's3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload');
  }

  #grantBucket(grantee: IGrantable): void {
    Grant.addToPrincipal({
      grantee,
      actions: ['s3:ListBucket'],
      resourceArns: [this.bucket.bucketArn],
    }).assertSuccess();
  }

  #grantObjects(grantee: IGrantable, ...actions: readonly string[]): void {
    Grant.addToPrincipal({
      grantee,
      actions: [...actions],
      resourceArns: [this.bucket.arnForObjects('*')],
    }).assertSuccess();
  }
}
