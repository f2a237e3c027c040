/** A fault of a config, and its place. */

/** Place of a key: in the file, in the environment or on the command line. */
export interface Place {
  /** Line and column in the file, from 1. 0: the place isn't in the file. */
  readonly line: number;
  readonly column: number;
  /** Environment variable or flag that holds the value; undefined for a value in the file. */
  readonly variable: string | undefined;
}

/** A fault, or a warning. No message shows a secret. */
export interface ConfigFault extends Place {
  /** The key, such as `client.token.hmac_secret_key`; "" for the file as a whole. */
  readonly path: string;
  /** The fault, and the value to write instead. */
  readonly message: string;
}

/** The place of what isn't there. */
export const NOWHERE: Place = { line: 0, column: 0, variable: undefined };

/** Writes a fault as one line: place, key, message. */
export function formatFault({ path, line, column, variable, message }: ConfigFault, file: string | undefined): string {
  const inFile = line > 0 ? `${file ?? "config"}:${line}:${column}` : file;
  return [variable ?? inFile, path, message].filter((part) => part !== undefined && part !== "").join(": ");
}

/** A text with places: the file, or the value of an environment variable or flag. */
export class Source {
  readonly text: string;
  readonly #variable: string | undefined;
  readonly #lines: number[] = [0];

  constructor(text: string, variable?: string) {
    this.text = text;
    this.#variable = variable;
    for (const end of text.matchAll(/\r\n?|\n/g)) this.#lines.push(end.index + end[0].length);
  }

  placeAt(offset: number): Place {
    if (this.#variable !== undefined) return { ...NOWHERE, variable: this.#variable };
    let [low, high] = [0, this.#lines.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lines[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#lines[low] ?? 0) + 1, variable: undefined };
  }
}
