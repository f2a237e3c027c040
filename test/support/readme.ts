/** Pages, examples and tables of the READMEs, for tests that compare them with the code. */
import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Paths of all pages of documentation in the project. */
export const READMES = globSync(["README.md", ".github/*.md", "{src,test,bench}/**/*.md"], { cwd: root }).toSorted();

/**
 * The guides about use with other packages. Their examples need those packages, and run in test/e2e/loaders.test.ts if
 * the packages are installed.
 */
export const GUIDES = READMES.filter((path) => path.startsWith("src/guides/"));

export function readReadme(path: string): string {
  return readFileSync(`${root}${path}`, "utf8");
}

export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** The file name in the first line of an example: `// server.js: the main thread`. */
  readonly file: string | undefined;
}

export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", code = ""]) => {
    return { language, code, file: /^\/\/ ([\w.-]+\.[jt]s)\b/.exec(code)?.[1] };
  });
}

/** The example of a README for the file of that name. */
export function readmeExample(readme: string, file: string): string {
  const found = codeBlocks(readReadme(readme)).find((block) => block.file === file);
  if (found === undefined) throw new Error(`${readme} has no example ${file}`);
  return found.code;
}

/** The first table after a text, by rows and cells. */
export function tableAfter(markdown: string, text: string): string[][] {
  const start = markdown.indexOf(text);
  if (start < 0) throw new Error(`there is no ${text}`);
  const [, , ...rows] = (/(^\|.*\n)+/m.exec(markdown.slice(start))?.[0] ?? "").trim().split("\n");
  return rows.map((row) => row.split(/(?<!\\)\|/).slice(1, -1));
}

/**
 * The names in backticks in the first column, without anything behind the name: `authorize(request, params)` gives
 * `authorize`.
 */
export function namesIn(rows: readonly (readonly string[])[]): string[] {
  return rows.flatMap(([first = ""]) => [...first.matchAll(/`([\w-]+)[^`]*`/g)].map(([, name = ""]) => name));
}
