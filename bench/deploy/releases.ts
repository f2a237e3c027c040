/** Releases of a program on disk, as a deploy leaves them: a folder for each version, and a link to the current one. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const SOURCES = join(import.meta.dirname, "release");
/** The package, which stays the same. */
const PACKAGE = pathToFileURL(join(import.meta.dirname, "../../src/")).href;

export class Releases {
  readonly #folder: string;

  /** @param folder is emptied */
  constructor(folder: string) {
    this.#folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }

  /** Copies the program, as another version, and lets the link lead there. */
  deploy(version: number): void {
    const folder = join(this.#folder, `v${version}`);
    cpSync(SOURCES, folder, { recursive: true });
    for (const name of readdirSync(folder).filter((one) => one.endsWith(".ts"))) {
      const file = join(folder, name);
      writeFileSync(file, readFileSync(file, "utf8").replaceAll("../../../src/", PACKAGE));
    }
    writeFileSync(join(folder, "version.ts"), `export const VERSION = ${version};\n`);
    const link = join(this.#folder, "next");
    symlinkSync(`v${version}`, link);
    renameSync(link, join(this.#folder, "current"));
  }
}
