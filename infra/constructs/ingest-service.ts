import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { ISecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import {
  AvailabilityZoneRebalancing,
  Cluster,
  type ContainerDefinition,
  ContainerInsights,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  Secret as InjectedSecret,
  LogDrivers,
  OperatingSystemFamily,
} from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  type ApplicationTargetGroup,
  ListenerCertificate,
  SslPolicy,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { DnsRecordType, PrivateDnsNamespace } from 'aws-cdk-lib/aws-servicediscovery';
import { Construct } from 'constructs';
import type { Settings } from '../settings.js';
import { ingestImage } from './ingest-image.js';
import type { Network } from './network.js';
import { storeEnvironment } from './store-environment.js';
import type { Stores } from './stores.js';

export interface IngestServiceProps {
  readonly settings: Settings;
  readonly network: Network;
  readonly stores: Stores;
  /** What clients show. */
  readonly tokens: Secret;
  /** What the processes of the cluster show to one another. */
  readonly clusterSecret: Secret;
}

/** What varve takes for "as the task's metadata say". */
const ecsTask = 'ecs:task';
/** Copies of what is in flux: one may be away, and a quorum is left. */
const copies = 3;
const clientPort = 8086;
const peerPort = 8087;
/** User and group of the image's processes (Dockerfile). */
const userId = '1000';
const dataDirectory = '/var/lib/varve';
const secretsDirectory = '/run/varve';

/** How long a new task waits for all that is in flux to have its copies. */
const joinSeconds = 300;
/** The longest that Fargate waits between SIGTERM and SIGKILL, and what of it the node has for handing over. */
const stopSeconds = 120;
const leaveSeconds = stopSeconds - 10;

/** The ingest nodes on Fargate, a task each over the zones, behind an internal load balancer and under a name in the network. */
export class IngestService extends Construct {
  readonly service: FargateService;
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly targets: ApplicationTargetGroup;
  readonly logGroup: LogGroup;
  readonly #group: SecurityGroup;

  constructor(scope: Construct, id: string, props: IngestServiceProps) {
    super(scope, id);
    const { settings, network } = props;
    const { vpc } = network;
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.#group = new SecurityGroup(this, 'Group', { vpc, description: 'Varve ingest node' });
    this.allowPeer(this.#group);
    const task = this.#taskDefinition(props);
    const cluster = new Cluster(this, 'Cluster', {
      vpc,
      // Processor and memory of the service come without it; it is billed by the metric.
      containerInsightsV2: ContainerInsights.DISABLED,
    });
    this.service = new FargateService(this, 'Service', {
      cluster,
      taskDefinition: task,
      desiredCount: settings.ingestTasks,
      // One more than is wanted, and never one less: a new task starts, and only once it has joined is an old one told to
      // end, which then has somebody to hand over to (docs/adr/0014).
      minHealthyPercent: 100,
      maxHealthyPercent: oneMorePercent(settings.ingestTasks),
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.ENABLED,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.seconds(joinSeconds + 60),
      securityGroups: [this.#group],
      cloudMapOptions: {
        cloudMapNamespace: new PrivateDnsNamespace(this, 'Names', {
          vpc,
          name: `varve-${settings.stage}.internal`,
        }),
        name: 'ingest',
        dnsRecordType: DnsRecordType.A,
        dnsTtl: Duration.seconds(10),
      },
    });
    this.loadBalancer = this.#balancer(props);
    this.targets = this.#listen(settings);
  }

  /** Lets a component reach the API between the processes of the cluster. */
  allowPeer(peer: ISecurityGroup): void {
    this.#group.addIngressRule(peer, Port.tcp(peerPort), 'processes of the cluster');
  }

  #taskDefinition({ settings, stores, tokens, clusterSecret }: IngestServiceProps): FargateTaskDefinition {
    const { size } = settings;
    const task = new FargateTaskDefinition(this, 'Task', {
      cpu: size.ingestCpu,
      memoryLimitMiB: size.ingestMemoryMiB,
      ephemeralStorageGiB: size.ingestDiskGiB,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.X86_64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
    });
    // It never touches what is settled, so it has no right to the bucket.
    stores.grantCatalog(task.taskRole);
    const container = task.addContainer('varve', {
      image: ingestImage(this, settings),
      command: ['ingest'],
      user: userId,
      readonlyRootFilesystem: true,
      portMappings: [{ containerPort: clientPort }, { containerPort: peerPort }],
      stopTimeout: Duration.seconds(stopSeconds),
      logging: LogDrivers.awsLogs({ logGroup: this.logGroup, streamPrefix: 'ingest' }),
      environment: {
        AWS_REGION: Stack.of(this).region,
        VARVE_META_STORE: storeEnvironment(stores).VARVE_META_STORE,
        VARVE_HOST: '0.0.0.0',
        VARVE_PORT: String(clientPort),
        VARVE_PEER_HOST: '0.0.0.0',
        VARVE_PEER_PORT: String(peerPort),
        VARVE_NODE_ID: ecsTask,
        VARVE_ADVERTISE: ecsTask,
        VARVE_EPHEMERAL: 'true',
        VARVE_LEAVE_WITHIN: `${leaveSeconds}s`,
        VARVE_JOIN_PATIENCE: `${joinSeconds}s`,
        VARVE_REPLICATION: String(copies),
        VARVE_DATA_DIR: dataDirectory,
        VARVE_TOKEN_FILE: `${secretsDirectory}/tokens`,
        VARVE_CLUSTER_SECRET_FILE: `${secretsDirectory}/cluster-secret`,
        VARVE_HOT_BYTES_MAX: size.hotBytesMax,
        VARVE_WAL_BYTES_MAX: size.walBytesMax,
        VARVE_HINT_BYTES_MAX: size.hintBytesMax,
        VARVE_LOG_FORMAT: 'json',
        // The hint alarm reads them: nothing here scrapes nodes.
        VARVE_FIGURES_INTERVAL: '1m',
      },
      secrets: {
        VARVE_TOKENS: InjectedSecret.fromSecretsManager(tokens),
        VARVE_CLUSTER_SECRET: InjectedSecret.fromSecretsManager(clusterSecret),
      },
    });
    addVolume(task, container, 'data', dataDirectory);
    addVolume(task, container, 'secrets', secretsDirectory);
    addVolume(task, container, 'temporary', '/tmp');
    return task;
  }

  #balancer({ settings, network }: IngestServiceProps): ApplicationLoadBalancer {
    const { vpc } = network;
    const group = new SecurityGroup(this, 'BalancerGroup', {
      vpc,
      description: 'Varve internal load balancer',
      allowAllOutbound: false,
    });
    const clients = settings.clients.length === 0 ? [settings.networkCidr] : settings.clients;
    const listenerPort = Port.tcp(settings.certificateArn === undefined ? 80 : 443);
    for (const cidr of clients) group.addIngressRule(Peer.ipv4(cidr), listenerPort, 'clients');
    return new ApplicationLoadBalancer(this, 'Balancer', {
      vpc,
      internetFacing: false,
      securityGroup: group,
      vpcSubnets: { subnets: vpc.isolatedSubnets },
      dropInvalidHeaderFields: true,
      idleTimeout: Duration.minutes(5),
      deletionProtection: settings.stage === 'prod',
    });
  }

  #listen({ certificateArn }: Settings): ApplicationTargetGroup {
    const listener = this.loadBalancer.addListener('Clients', {
      open: false,
      ...(certificateArn === undefined
        ? { protocol: ApplicationProtocol.HTTP }
        : {
            protocol: ApplicationProtocol.HTTPS,
            certificates: [ListenerCertificate.fromArn(certificateArn)],
            sslPolicy: SslPolicy.TLS13_RES,
          }),
    });
    return listener.addTargets('Ingest', {
      port: clientPort,
      protocol: ApplicationProtocol.HTTP,
      targets: [this.service],
      // Writes under way finish; new ones go to other tasks.
      deregistrationDelay: Duration.seconds(30),
      // Not /ready: while a store is away every node says that it is not, and a service that replaced them all for it would
      // throw away what is in flux.
      healthCheck: { path: '/joined', interval: Duration.seconds(10), healthyThresholdCount: 2 },
    });
  }
}

/** Per cent of the wanted tasks that are one task more; it is rounded down to whole tasks. */
function oneMorePercent(tasks: number): number {
  return Math.ceil((100 * (tasks + 1)) / tasks);
}

function addVolume(
  task: FargateTaskDefinition,
  container: ContainerDefinition,
  name: string,
  containerPath: string,
): void {
  task.addVolume({ name });
  container.addMountPoints({ sourceVolume: name, containerPath, readOnly: false });
}
