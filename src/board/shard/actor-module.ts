/** Loads the actor modules of a board and checks their exports. Each shard loads all modules when it starts. */
import { type ErrorCode, reportError, reviveError, SwitchboardError } from "../../errors.ts";
import type { ActorClass } from "../../runtime/actor/actor.ts";
import { checkActorContract, isActorClass, versionOf } from "../../runtime/actor/actor-class.ts";
import { requestHeadersOf } from "../../runtime/actor/context/connection-request.ts";
import { messagesOf } from "../../runtime/actor/message-memory.ts";
import { slowConsumerCloseOf } from "../../runtime/actor/slow-consumer-close.ts";
import { supervisionOf } from "../../runtime/actor/supervision.ts";
import type { Authorize } from "../accept/authorize.ts";
import type { ActorName } from "../connection/connection-host.ts";
import type { ActorModuleFacts } from "./messages.ts";

/** The exports of one actor module, and the settings of its class, as a shard uses them. */
export interface ActorModule {
  readonly actorClass: ActorClass;
  /** Version of the state with which its connections move; undefined if they don't. */
  readonly moves: number | undefined;
  /** Function that the shard asks in its own handshakes. */
  readonly authorize: Authorize | undefined;
  /** Function that answers surveys of the main thread. */
  readonly surveyed: Surveyed | undefined;
  /** Headers that the actor class asks for, in lower case. */
  readonly requestHeaders: readonly string[];
}

/**
 * The function `surveyed` that an actor module may export: it returns this shard's answer to `board.survey(question)`.
 */
export type Surveyed = (question: unknown) => unknown;

/** The actor modules of a shard, by name. */
export type ActorModules = ReadonlyMap<ActorName, ActorModule>;

interface Exports {
  readonly default?: unknown;
  readonly authorize?: unknown;
  readonly surveyed?: unknown;
}

/**
 * Loads all actor modules of a board at the same time. Rejects with the first error: with the own error of a module
 * that can't be loaded, and with `ERR_NO_ACTOR_CLASS`, `ERR_ACTOR_COPY`, `ERR_SUPERVISION`, `ERR_MOVES`,
 * `ERR_REQUEST_HEADERS`, `ERR_SLOW_CONSUMER_CLOSE`, `ERR_MESSAGES`, `ERR_AUTHORIZE_EXPORT` or `ERR_SURVEYED_EXPORT` for
 * wrong exports. The message names the URL of the module.
 */
export async function loadActorModules(urls: ReadonlyMap<ActorName, string>): Promise<ActorModules> {
  const loads = Array.from(urls, async ([name, url]) => {
    try {
      return [name, await loadActorModule(url)] as const;
    } catch (error) {
      throw withUrl(error, url);
    }
  });
  return new Map(await Promise.all(loads));
}

/** Returns the error of a module, with the URL of the module in its message. */
function withUrl(thrown: unknown, url: string): unknown {
  const report = reportError(thrown);
  if (report.message.includes(url)) return thrown;
  const message = `${report.message} (in the actor module ${url})`;
  return reviveError({ ...report, message, stack: report.stack?.replace(report.message, () => message) });
}

async function loadActorModule(url: string): Promise<ActorModule> {
  const { default: actorClass, authorize, surveyed } = exportsOf(await import(url));
  if (!isActorClass(actorClass)) {
    const message = `${url} must have a class that extends Actor (of the package switchboard) as its default export, and has ${describe(actorClass)}`;
    throw new SwitchboardError("ERR_NO_ACTOR_CLASS", message);
  }
  checkActorContract(actorClass);
  supervisionOf(actorClass);
  slowConsumerCloseOf(actorClass);
  messagesOf(actorClass);
  return {
    actorClass,
    moves: versionOf(actorClass),
    authorize: functionOf<Authorize>(url, "authorize", authorize, "ERR_AUTHORIZE_EXPORT"),
    surveyed: functionOf<Surveyed>(url, "surveyed", surveyed, "ERR_SURVEYED_EXPORT"),
    requestHeaders: requestHeadersOf(actorClass),
  };
}

/** Returns an export that is a function or nothing. */
function functionOf<Exported>(url: string, name: string, value: unknown, code: ErrorCode): Exported | undefined {
  if (value === undefined || typeof value === "function") return value as Exported | undefined;
  const article = /^[aeiou]/.test(name) ? "an" : "a";
  throw new SwitchboardError(code, `${url} exports ${article} ${name} that is no function, but ${describe(value)}`);
}

/**
 * Returns the exports as the author wrote them. Importing CommonJS gives `module.exports` as the default export: that
 * is the actor class after `module.exports = Chat`, and holds the class after `exports.default = Chat`, which compilers
 * write as well.
 */
function exportsOf(module: Exports): Exports {
  const { default: given } = module;
  if (typeof given === "object" && given !== null && "default" in given) return given;
  if (!("module.exports" in module) || typeof given !== "function") return module;
  // Node finds names of CommonJS exports in the source, but not all of them. An `authorize` must never be overlooked.
  const { authorize, surveyed } = module["module.exports"] as Exports;
  return { default: given, authorize, surveyed };
}

function describe(value: unknown): string {
  if (value === undefined) return "none";
  if (value === null) return "null";
  if (typeof value === "function") return "a function or class that doesn't";
  return `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

/** Returns the facts about the modules that the main thread needs. */
export function factsOf(actors: ActorModules): ReadonlyMap<ActorName, ActorModuleFacts> {
  const facts = Array.from(actors, ([name, { authorize, requestHeaders, moves }]) => {
    return [name, { authorizes: authorize !== undefined, requestHeaders, moves }] as const;
  });
  return new Map(facts);
}
