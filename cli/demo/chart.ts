/** A value at a time. */
export interface ChartPoint {
  readonly label: string;
  readonly value: number;
  /** Points of the hot tier are drawn with another mark. */
  readonly hot: boolean;
}

const chartHeight = 8;

/** Draws points as a column chart of text: settled columns full, columns in flux shaded. */
export function drawChart(title: string, points: readonly ChartPoint[], width: number): string {
  const columns = resample(points, Math.max(10, width));
  const highest = Math.max(...columns.map((column) => column.value), Number.MIN_VALUE);
  const rows: string[] = [`  ${title}`];
  for (let row = chartHeight; row >= 1; row--) {
    const scale = row === chartHeight ? highest : row === 1 ? 0 : undefined;
    const axis = (scale === undefined ? '' : scale.toFixed(1)).padStart(8);
    const cells = columns.map((column) => {
      const filled = (column.value / highest) * chartHeight;
      if (filled < row - 0.5) return ' ';
      return column.hot ? '░' : '█';
    });
    rows.push(`${axis} │${cells.join('')}`);
  }
  rows.push(`${''.padStart(8)} └${'─'.repeat(columns.length)}`);
  const first = columns[0]?.label ?? '';
  const last = columns.at(-1)?.label ?? '';
  rows.push(
    `${''.padStart(10)}${first}${' '.repeat(Math.max(1, columns.length - first.length - last.length))}${last}`,
  );
  rows.push(`${''.padStart(10)}█ settled   ░ in flux`);
  return rows.join('\n');
}

/** At most `width` columns: neighbours are averaged, a column with any point in flux counts as in flux. */
function resample(points: readonly ChartPoint[], width: number): readonly ChartPoint[] {
  if (points.length <= width) return points;
  return Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * points.length) / width);
    const part = points.slice(from, Math.max(from + 1, Math.floor(((column + 1) * points.length) / width)));
    return {
      label: part[0]?.label ?? '',
      value: part.reduce((sum, point) => sum + point.value, 0) / part.length,
      hot: part.some((point) => point.hot),
    };
  });
}
