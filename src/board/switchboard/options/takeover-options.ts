/** The option `takeover` of `Switchboard.start`: types, defaults and checks. */
import { check, withoutUndefined } from "./option-validation.ts";

/** State of the main program that goes along in a takeover, and the path of the takeover. */
export interface TakeoverOptions {
  /** Path of the Unix socket, or true for the path in the environment variable `SWITCHBOARD_TAKEOVER`. */
  readonly path: string | true;
  /**
   * Called in the old process when all connections have stopped, just after the event `handingOver`. Returns what the
   * new process needs, or a promise of it, within 250 ms: at most 64 MiB of plain data. Undefined: nothing. The program
   * must change nothing of it from then on, until `handedOver` or `successorFailed`. Don't wait for answers of the
   * board about topics here: they come after the takeover. If the function throws, takes too long, or returns what
   * can't travel, the takeover goes on without its value, and the old board emits `programStateLeft`. After a takeover
   * that fails the old program goes on with its own state.
   */
  readonly give?: () => unknown;
  /**
   * Called in the new process with a copy of what `give` of the old process returned, before anybody is served. Not
   * called if nothing comes. The value may come from another version of the program: a version number in it helps. If
   * the function throws, or takes longer than 500 ms, the takeover fails, and everything goes on in the old process.
   */
  readonly take?: (state: unknown) => unknown;
}

/** The checked option `takeover`. */
export interface TakeoverSettings extends Pick<TakeoverOptions, "give" | "take"> {
  readonly path: string;
}

/** Checks the option. Throws `ERR_OPTION`. Returns undefined if there is to be no takeover. */
export function checkTakeoverOption(option: string | boolean | TakeoverOptions): TakeoverSettings | undefined {
  if (typeof option !== "object") return settingsFor(option, {});
  const isPath = (value: unknown): boolean => value === true || (typeof value === "string" && value !== "");
  check("Switchboard.start: takeover", option, ["path", "give", "take"], ["path"], {
    path: { takes: "the path of a Unix socket, or true", accepts: isPath },
  });
  const { path, ...functions } = withoutUndefined(option);
  return settingsFor(path, functions);
}

function settingsFor(
  path: string | boolean,
  functions: Pick<TakeoverOptions, "give" | "take">,
): TakeoverSettings | undefined {
  const found = path === true ? process.env["SWITCHBOARD_TAKEOVER"] || undefined : path || undefined;
  return found === undefined ? undefined : { path: found, ...functions };
}
