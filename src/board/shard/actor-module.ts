/**
 * Loads the actor module and checks its exports. Rejects with the module's own error if the module can't be loaded, and
 * with `ERR_NO_ACTOR_CLASS`, `ERR_ACTOR_COPY`, `ERR_SUPERVISION` or `ERR_AUTHORIZE_EXPORT` for wrong exports.
 */
import { SwitchboardError } from "../../errors.ts";
import type { ActorClass } from "../../runtime/actor/actor.ts";
import { checkActorContract, isActorClass } from "../../runtime/actor/actor-class.ts";
import { supervisionOf } from "../../runtime/actor/supervision.ts";
import type { Authorize } from "../accept/authorize.ts";

/** Exports of the actor module that a shard uses. */
export interface ActorModule {
  readonly actorClass: ActorClass;
  /** Function that the shard asks in its own handshakes. */
  readonly authorize: Authorize | undefined;
}

interface Exports {
  readonly default?: unknown;
  readonly authorize?: unknown;
}

/**
 * Loads the actor module of a shard and checks its exports. Rejects with the module's own error when that can't be
 * loaded, and with `ERR_NO_ACTOR_CLASS`, `ERR_ACTOR_COPY`, `ERR_SUPERVISION` or `ERR_AUTHORIZE_EXPORT` when its exports
 * aren't what they must be.
 */
export async function loadActorModule(url: string): Promise<ActorModule> {
  const { default: actorClass, authorize } = exportsOf(await import(url));
  if (!isActorClass(actorClass)) {
    const message = `${url} must have a class that extends Actor (of the package switchboard) as its default export, and has ${describe(actorClass)}`;
    throw new SwitchboardError("ERR_NO_ACTOR_CLASS", message);
  }
  checkActorContract(actorClass);
  supervisionOf(actorClass);
  if (authorize !== undefined && typeof authorize !== "function") {
    const message = `${url} exports an authorize that is no function, but ${describe(authorize)}`;
    throw new SwitchboardError("ERR_AUTHORIZE_EXPORT", message);
  }
  return { actorClass, authorize: authorize as Authorize | undefined };
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
  const { authorize } = module["module.exports"] as Exports;
  return { default: given, authorize };
}

function describe(value: unknown): string {
  if (value === undefined) return "none";
  if (value === null) return "null";
  if (typeof value === "function") return "a function or class that doesn't";
  return `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}
