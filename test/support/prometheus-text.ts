/** Samples of a Prometheus text page, by name and labels as they stand: `name{label="value"}`. */
export type Samples = ReadonlyMap<string, number>;

/**
 * Reads Prometheus text strictly: every sample below the TYPE of its family, every family declared once, no sample
 * twice. Throws at what a scraper would refuse.
 */
export function readPrometheusText(text: string): Samples {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  if (!text.endsWith('\n')) throw new Error('got no newline at the end');
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (type !== null) {
      const [, family = '', kind = ''] = type;
      if (types.has(family)) throw new Error(`got family ${family} twice`);
      types.set(family, kind);
      continue;
    }
    if (line === '' || /^# HELP \S+ .+$/.test(line)) continue;
    const sample =
      /^(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(line);
    if (sample === null) throw new Error(`got line ${JSON.stringify(line)}; want a sample`);
    const [, key = '', name = '', , value = ''] = sample;
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(family)) throw new Error(`got ${name} without a TYPE`);
    if (samples.has(key)) throw new Error(`got ${key} twice`);
    const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
    if (Number.isNaN(number) && value !== 'NaN' && value !== 'Nan')
      throw new Error(`got value ${value} of ${key}`);
    samples.set(key, number);
  }
  return samples;
}
