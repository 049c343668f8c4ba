import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseToml } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'localstack');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly image: string;
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[];
  readonly read_only?: boolean;
}

const compose = parse(read('localstack/docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);
const nodes = ['ingest-1', 'ingest-2', 'ingest-3'];

describe('docker-compose.yml', () => {
  it('publishes every port on this machine only', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(4);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('pins every image', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/^[\w./-]+:(?!latest)[\w.-]+$/);
  });

  it('offers two emulators under one name, each in a profile of its own', () => {
    expect(compose.services['localstack']?.profiles).toEqual(['localstack']);
    expect(compose.services['ministack']?.profiles).toEqual(['ministack']);
  });

  it('mounts files that are there, and volumes that are declared', () => {
    for (const [, service] of services)
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('.')) expect(existsSync(join(folder, source)), volume).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
  });

  it('waits only for services that it has', () => {
    for (const [, service] of services) {
      const wanted = service.depends_on ?? {};
      for (const name of Array.isArray(wanted) ? wanted : Object.keys(wanted))
        expect(Object.keys(compose.services)).toContain(name);
    }
  });

  it('runs as many nodes as a point has copies, each with a name, an address and a log of its own', () => {
    const ingest = services.filter(([, { command }]) => command?.[0] === 'ingest');
    expect(ingest.map(([name]) => name)).toEqual(nodes);
    for (const [name, { environment = {} }] of ingest) {
      expect(environment['VARVE_REPLICATION'], name).toBe(String(nodes.length));
      expect(environment['VARVE_ADVERTISE']).toBe(`http://${name}:${environment['VARVE_PEER_PORT']}`);
    }
    expect(new Set(ingest.map(([, { environment }]) => environment?.['VARVE_NODE_ID'])).size).toBe(3);
    expect(new Set(ingest.flatMap(([, { volumes }]) => volumes)).size).toBe(3);
  });

  it('has Telegraf write to every node, once all are there', () => {
    const telegraf = parseToml(read('localstack/telegraf.conf'));
    expect(Object.keys(telegraf).sort()).toEqual(['agent', 'inputs', 'outputs']);
    // What the output takes; a key that it does not know keeps Telegraf from its start.
    expect(telegraf['outputs']).toEqual({
      influxdb_v2: [
        {
          urls: nodes.map((node) => `http://${node}:8086`),
          ...{ organization: expect.any(String), bucket: 'metrics', token: expect.any(String) },
        },
      ],
    });
    expect(Object.keys(compose.services['telegraf']?.depends_on ?? {})).toEqual(nodes);
  });

  it('sets flags that varve has', () => {
    const known = sourceTexts(join(root, 'cli')).join('\n');
    const processes = services.filter(([, { command }]) => command !== undefined);
    expect(processes.map(([name]) => name)).toEqual([...nodes, 'compactor', 'query']);
    for (const [name, { environment = {}, read_only: readOnly }] of processes) {
      expect(readOnly, name).toBe(true);
      for (const variable of Object.keys(environment).filter((key) => key.startsWith('VARVE_'))) {
        // The secret itself is the entrypoint's, which makes a file of it.
        if (variable === 'VARVE_CLUSTER_SECRET') continue;
        expect(known).toContain(`--${variable.slice(6).toLowerCase().replaceAll('_', '-')}`);
      }
    }
  });
});

describe('Grafana', () => {
  it('finds its datasource', () => {
    const { datasources } = parse(read('localstack/grafana/provisioning/datasources/prometheus.yml'));
    const { providers } = parse(read('localstack/grafana/provisioning/dashboards/varve.yml'));
    expect(providers).toHaveLength(1);
    const panels = dashboardPanels();
    expect(panels.length).toBeGreaterThan(8);
    for (const panel of panels) expect(panel.datasource.uid).toBe(datasources[0].uid);
  });

  it('is given its files where compose mounts them, and the datasource where Prometheus is', () => {
    const { datasources } = parse(read('localstack/grafana/provisioning/datasources/prometheus.yml'));
    const { providers } = parse(read('localstack/grafana/provisioning/dashboards/varve.yml'));
    const { volumes = [] } = compose.services['grafana'] ?? {};
    const mounted = volumes.map((volume) => volume.split(':').slice(0, 2));
    expect(mounted).toContainEqual(['./grafana/dashboards', providers[0].options.path]);
    expect(mounted).toContainEqual(['./grafana/provisioning', '/etc/grafana/provisioning']);
    expect(Object.keys(compose.services)).toContain(new URL(datasources[0].url).hostname);
  });

  it('has panels of a known kind and unit, each with a name and a place of its own', () => {
    const panels = dashboardPanels();
    const unique = (values: readonly unknown[]): void => expect(new Set(values).size).toBe(values.length);
    unique(panels.map(({ id }) => id));
    unique(panels.map(({ title }) => title));
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24);
      return Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`);
    });
    unique(cells);
    for (const { type, title, targets, fieldConfig } of panels) {
      expect(type).toBe('timeseries');
      expect(['short', 's', 'bytes', 'ops', 'percentunit'], title).toContain(fieldConfig.defaults.unit);
      unique(targets.map(({ refId }) => refId));
    }
  });

  it('scrapes the processes where they listen', () => {
    const { scrape_configs: jobs } = parse(read('localstack/prometheus.yml'));
    const listening = services.flatMap(([name, { environment }]) =>
      environment?.['VARVE_PORT'] === undefined ? [] : [`${name}:${environment['VARVE_PORT']}`],
    );
    expect(jobs[0].static_configs[0].targets).toEqual(listening);
  });
});

function dashboardPanels(): {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } };
  readonly datasource: { readonly uid: string };
  readonly targets: readonly { readonly refId: string; readonly expr: string }[];
}[] {
  return JSON.parse(read('localstack/grafana/dashboards/varve.json')).panels;
}

function sourceTexts(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(path, name), 'utf8'));
}
