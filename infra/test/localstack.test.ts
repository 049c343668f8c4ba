import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
    const [, urls = ''] = /^\s*urls = (\[.*\])$/m.exec(read('localstack/telegraf.conf')) ?? [];
    expect(JSON.parse(urls)).toEqual(nodes.map((node) => `http://${node}:8086`));
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

  it('shows metrics that varve has', () => {
    const code = ['cli', 'core', 'ingest', 'query', 'compactor'].flatMap((room) =>
      sourceTexts(join(root, room)),
    );
    const registered = new Set(code.join('\n').match(/'varve_[a-z_]+'/g));
    for (const { title, targets } of dashboardPanels())
      for (const { expr } of targets)
        for (const name of expr.match(/varve_[a-z_]+/g) ?? [])
          expect(registered, title).toContain(`'${name.replace(/_bucket$/, '')}'`);
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
  readonly title: string;
  readonly datasource: { readonly uid: string };
  readonly targets: readonly { readonly expr: string }[];
}[] {
  return JSON.parse(read('localstack/grafana/dashboards/varve.json')).panels;
}

function sourceTexts(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(path, name), 'utf8'));
}
