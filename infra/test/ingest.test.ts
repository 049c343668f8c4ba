import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { synthesize } from './templates.js';

const template = synthesize();

/** Variables of the container, by name. */
function environment(of = template): Record<string, string> {
  const [task] = Object.values(of.findResources('AWS::ECS::TaskDefinition'));
  const [container] = task?.['Properties'].ContainerDefinitions ?? [];
  return Object.fromEntries(
    container.Environment.map(({ Name, Value }: { Name: string; Value: string }) => [Name, Value]),
  );
}

const secondsOf = (text: string | undefined): number => Number(/^(\d+)s$/.exec(text ?? '')?.[1]);

describe('the ingest service', () => {
  it('runs three tasks over three zones, and as many as are wanted', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      DesiredCount: 3,
      AvailabilityZoneRebalancing: 'ENABLED',
    });
    const zones = Object.values(template.findResources('AWS::EC2::Subnet')).map((subnet) =>
      JSON.stringify(subnet['Properties'].AvailabilityZone),
    );
    expect(new Set(zones).size).toBe(3);
    const [service] = Object.values(template.findResources('AWS::ECS::Service'));
    expect(service?.['Properties'].NetworkConfiguration.AwsvpcConfiguration).toMatchObject({
      AssignPublicIp: 'DISABLED',
      Subnets: [expect.anything(), expect.anything(), expect.anything()],
    });
    synthesize({ ingestTasks: '5' }).hasResourceProperties('AWS::ECS::Service', { DesiredCount: 5 });
  });

  it.each(['3', '4', '5', '7', '50'])(
    'replaces one of %s tasks at a time, the new one first',
    (ingestTasks) => {
      const [service] = Object.values(synthesize({ ingestTasks }).findResources('AWS::ECS::Service'));
      const { MinimumHealthyPercent, MaximumPercent, DeploymentCircuitBreaker } =
        service?.['Properties'].DeploymentConfiguration ?? {};
      const tasks = Number(ingestTasks);
      // As the service counts: at least, rounded up; at most, rounded down.
      expect(Math.ceil((tasks * MinimumHealthyPercent) / 100)).toBe(tasks);
      expect(Math.floor((tasks * MaximumPercent) / 100)).toBe(tasks + 1);
      expect(DeploymentCircuitBreaker).toEqual({ Enable: true, Rollback: true });
    },
  );

  it('goes on to the next task only when the new one has joined, and ends none because a store is away', () => {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      HealthCheckPath: '/joined',
    });
    const [service] = Object.values(template.findResources('AWS::ECS::Service'));
    const graceSeconds = service?.['Properties'].HealthCheckGracePeriodSeconds;
    expect(graceSeconds).toBeGreaterThan(secondsOf(environment()['VARVE_JOIN_PATIENCE']) + 30);
  });

  it('gives a task that is told to end the time to hand over what it holds', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [Match.objectLike({ StopTimeout: 120 })],
    });
    const leaveSeconds = secondsOf(environment()['VARVE_LEAVE_WITHIN']);
    expect(leaveSeconds).toBeLessThan(120);
    // A minute until the compactor runs, and time to copy.
    expect(leaveSeconds).toBeGreaterThanOrEqual(100);
    expect(environment()).toMatchObject({ VARVE_EPHEMERAL: 'true', VARVE_REPLICATION: '3' });
  });

  it('has each task take its name and its address from its own metadata', () => {
    expect(environment()).toMatchObject({ VARVE_NODE_ID: 'ecs:task', VARVE_ADVERTISE: 'ecs:task' });
  });

  it('keeps the log on the disk of the task', () => {
    template.resourceCountIs('AWS::EFS::FileSystem', 0);
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      EphemeralStorage: { SizeInGiB: 21 },
      Volumes: Match.arrayWith([{ Name: 'data' }]),
      ContainerDefinitions: [
        Match.objectLike({
          MountPoints: Match.arrayWith([
            { SourceVolume: 'data', ContainerPath: '/var/lib/varve', ReadOnly: false },
          ]),
        }),
      ],
    });
  });

  it('is found by a name in the network, of all its tasks', () => {
    template.hasResourceProperties('AWS::ServiceDiscovery::PrivateDnsNamespace', {
      Name: Match.stringLikeRegexp('^varve-.*\\.internal$'),
    });
    template.hasResourceProperties('AWS::ServiceDiscovery::Service', {
      Name: 'ingest',
      DnsConfig: Match.objectLike({ DnsRecords: [{ TTL: 10, Type: 'A' }], RoutingPolicy: 'MULTIVALUE' }),
    });
  });

  it('opens the API between processes to itself, the compactor and the querier, and to nobody else', () => {
    const rules = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress')).filter(
      (rule) => rule['Properties'].FromPort === 8087,
    );
    const sources = rules.map((rule) => JSON.stringify(rule['Properties'].SourceSecurityGroupId));
    expect(sources.map((source) => /"(Ingest|Compactor|Query)Group/.exec(source)?.[1]).sort()).toEqual([
      'Compactor',
      'Ingest',
      'Query',
    ]);
  });
});
