/** The parser of the flags of all commands. Turns what Node says about a wrong one into one sentence. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./usage-error.ts";

type Flags = NonNullable<ParseArgsConfig["options"]>;

/** Parses the arguments of a command. Throws a UsageError for a wrong flag. */
export function parseFlags<const Own extends Flags>(command: string, args: readonly string[], flags: Own) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true });
  } catch (error) {
    const name = /'(?:-\w, )?(-[^' =]*)/.exec(String(error))?.[1] ?? "that";
    if (!(error instanceof Error && "code" in error)) throw error;
    if (error.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") {
      throw new UsageError(`${command} has no flag ${name}; switchboard ${command} --help lists all`);
    }
    if (error.message.includes("ambiguous")) {
      throw new UsageError(`${name} needs a value; one that begins with - is written behind a =, as in ${name}=-x`);
    }
    throw new UsageError(`${error.message.split(".")[0]}; switchboard ${command} --help says more`);
  }
}
