import { cellTexts } from './cell-text.js';
import type { ResultChunk, ResultField } from './result-chunk.js';
import type { ResultEncoder } from './result-encoder.js';

/** Pieces are sent when they are about this long: large enough to be cheap to pass on, small enough to stream. */
const pieceCharactersMin = 64 * 1024;

/** Collects text and gives it out in pieces of a useful size. */
class TextPieces {
  #text = '';

  push(text: string): readonly Uint8Array[] {
    this.#text += text;
    return this.#text.length < pieceCharactersMin ? [] : this.flush();
  }

  flush(): readonly Uint8Array[] {
    if (this.#text.length === 0) return [];
    const bytes = new TextEncoder().encode(this.#text);
    this.#text = '';
    return [bytes];
  }
}

/** A JSON array of objects, or one object a line. Names that occur twice come twice, in order, as the SQL says. */
export class JsonEncoder implements ResultEncoder {
  readonly #keys: readonly string[];
  readonly #lines: boolean;
  readonly #pieces = new TextPieces();
  #rows = 0;

  constructor(fields: readonly ResultField[], shape: 'array' | 'lines') {
    this.#keys = fields.map((field, index) => `${index === 0 ? '{' : ','}${JSON.stringify(field.name)}:`);
    this.#lines = shape === 'lines';
  }

  encode(chunk: ResultChunk): readonly Uint8Array[] {
    const keys = this.#keys;
    const cells = chunk.columns.map((column) => cellTexts(column, chunk.rowCount, 'json'));
    let text = '';
    for (let row = 0; row < chunk.rowCount; row++) {
      if (!this.#lines) text += this.#rows === 0 ? '[' : ',\n';
      this.#rows += 1;
      for (let column = 0; column < cells.length; column++) {
        text += keys[column];
        text += cells[column]?.[row];
      }
      text += this.#lines ? '}\n' : '}';
    }
    return this.#pieces.push(text);
  }

  finish(): readonly Uint8Array[] {
    if (!this.#lines) this.#pieces.push(this.#rows === 0 ? '[]' : ']');
    return this.#pieces.flush();
  }
}

/** RFC 4180 with a header line and LF ends. Null is an empty cell, an empty string a quoted one. */
export class CsvEncoder implements ResultEncoder {
  readonly #pieces = new TextPieces();

  constructor(fields: readonly ResultField[]) {
    this.#pieces.push(`${fields.map((field) => csvCell(field.name)).join(',')}\n`);
  }

  encode(chunk: ResultChunk): readonly Uint8Array[] {
    const cells = chunk.columns.map((column) => {
      const texts = cellTexts(column, chunk.rowCount, 'plain');
      if (column.kind !== 'text' && column.kind !== 'json') return texts;
      const { validity } = column;
      for (let row = 0; row < chunk.rowCount; row++) {
        const valid = validity === null || ((validity[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
        if (valid) texts[row] = csvCell(texts[row] ?? '');
      }
      return texts;
    });
    let text = '';
    for (let row = 0; row < chunk.rowCount; row++) {
      for (let column = 0; column < cells.length; column++) {
        text += column === 0 ? cells[column]?.[row] : `,${cells[column]?.[row]}`;
      }
      text += '\n';
    }
    return this.#pieces.push(text);
  }

  finish(): readonly Uint8Array[] {
    return this.#pieces.flush();
  }
}

function csvCell(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A table drawn for people. Widths are fixed by the first chunk, so that it streams; a wider cell later stands out. */
export class PrettyEncoder implements ResultEncoder {
  readonly #names: readonly string[];
  readonly #pieces = new TextPieces();
  #widths: readonly number[] | undefined;
  #rule = '';

  constructor(fields: readonly ResultField[]) {
    this.#names = fields.map((field) => visible(field.name));
  }

  encode(chunk: ResultChunk): readonly Uint8Array[] {
    const cells = chunk.columns.map((column) =>
      cellTexts(column, chunk.rowCount, 'plain').map((text) => visible(text)),
    );
    const text = this.#head(cells);
    const lines = Array.from({ length: chunk.rowCount }, (_, row) =>
      this.#line(cells.map((column) => column[row] ?? '')),
    );
    return this.#pieces.push(text + lines.join(''));
  }

  finish(): readonly Uint8Array[] {
    this.#pieces.push(`${this.#head([])}${this.#rule}`);
    return this.#pieces.flush();
  }

  #head(cells: readonly (readonly string[])[]): string {
    if (this.#widths !== undefined) return '';
    this.#widths = this.#names.map((name, index) =>
      (cells[index] ?? []).reduce((width, cell) => Math.max(width, cell.length), name.length),
    );
    this.#rule = `+${this.#widths.map((width) => '-'.repeat(width + 2)).join('+')}+\n`;
    return `${this.#rule}${this.#line(this.#names)}${this.#rule}`;
  }

  #line(cells: readonly string[]): string {
    return `| ${cells.map((cell, index) => cell.padEnd(this.#widths?.[index] ?? 0)).join(' | ')} |\n`;
  }
}

/** Control characters would break the table: shown as JSON shows them. */
function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\u0000-\u001f\u007f]/.test(text) ? JSON.stringify(text).slice(1, -1) : text;
}
