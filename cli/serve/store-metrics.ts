import { Counter, type Registry } from 'prom-client';
import type { StoreCounter } from '../../core/adapters/store-counters.js';

/** Where the stores of a process or thread report what they are asked. */
export interface StoreMetrics {
  readonly objects: StoreCounter;
  readonly meta: StoreCounter;
  /** One try of a request to AWS. */
  readonly attempt: (service: 's3' | 'dynamodb', operation: string) => void;
  /** Capacity units that a request to DynamoDB took. */
  readonly units: (kind: 'read' | 'write', units: number) => void;
}

/**
 * Registers the metrics of stores. `thread` tells those of a thread with a registry of its own from those of the main
 * thread, since a metric may come once only in what /metrics answers.
 */
export function storeMetrics(registry: Registry, thread: '' | 'compactor_'): StoreMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: `varve_${thread}store_requests_total`,
    help: 'Calls on the object store and the meta store.',
    labelNames: ['store', 'operation'],
    registers,
  });
  const bytes = new Counter({
    name: `varve_${thread}store_bytes_total`,
    help: 'Bytes of content sent to stores and received from them.',
    labelNames: ['store', 'operation', 'direction'],
    registers,
  });
  const attempts = new Counter({
    name: `varve_${thread}aws_requests_total`,
    help: 'Requests sent to AWS, each try counted.',
    labelNames: ['service', 'operation'],
    registers,
  });
  const units = new Counter({
    name: `varve_${thread}dynamodb_units_total`,
    help: 'Capacity units that DynamoDB charged.',
    labelNames: ['kind'],
    registers,
  });
  const counterOf = (store: string): StoreCounter => ({
    request: (operation, count) => requests.inc({ store, operation }, count),
    bytes: (operation, direction, count) => bytes.inc({ store, operation, direction }, count),
  });
  return {
    objects: counterOf('objects'),
    meta: counterOf('meta'),
    attempt: (service, operation) => attempts.inc({ service, operation }),
    units: (kind, count) => units.inc({ kind }, count),
  };
}
