/**
 * Actor classes and objects, of whichever copy of this package. Shards check and construct classes by these functions.
 */
import { SwitchboardError } from "../../errors.ts";
import { ACTOR_CONTRACT, Actor, type ActorClass, type ActorOrigin, ORIGIN } from "./actor.ts";
import type { ActorContext } from "./context/actor-context.ts";
import { movesOf } from "./moving/moves.ts";

/** True if the value is a class that extends `Actor`, of whichever copy and version of this package. */
export function isActorClass(value: unknown): value is ActorClass {
  if (typeof value !== "function" || typeof value.prototype !== "object" || value.prototype === null) return false;
  return ORIGIN in value.prototype && !Object.hasOwn(value.prototype, ORIGIN);
}

/**
 * Throws `ERR_ACTOR_COPY`, with both files, when the class comes from a copy of this package that this copy can't work
 * with.
 */
export function checkActorContract(actorClass: ActorClass): void {
  const { contract, file } = originOf(actorClass.prototype);
  if (contract === ACTOR_CONTRACT) return;
  const own = originOf(Actor.prototype).file;
  const message = `the actor class extends the Actor of another version of switchboard, ${file ?? "in a bundle"}, and its shard runs ${own}: install one version, and build the actor against that`;
  throw new SwitchboardError("ERR_ACTOR_COPY", message);
}

/**
 * Constructs an actor on its context, by the copy of this package that the actor's class comes from. Throws what its
 * constructor throws.
 */
export function constructActor(actorClass: ActorClass, context: ActorContext): Actor {
  return originOf(actorClass.prototype).construct(actorClass, context);
}

/** Gives an actor object another context. */
export function replaceContext(actor: Actor, context: ActorContext): void {
  originOf(actor).replaceContext(actor, context);
}

/**
 * Returns the version of the state with which objects of the class move; undefined for a class that doesn't. Throws
 * `ERR_MOVES`.
 */
export function versionOf(actorClass: ActorClass): number | undefined {
  return movesOf(actorClass, originOf(actorClass.prototype).base);
}

/** True if the actor's class has the handler itself, and doesn't inherit it from `Actor`. */
export function overrides(actor: Actor, handler: "opened" | "closed" | "mailed" | "shuttingDown"): boolean {
  return actor[handler] !== originOf(actor).base[handler];
}

function originOf(actor: Actor): ActorOrigin {
  return (actor as unknown as { readonly [ORIGIN]: ActorOrigin })[ORIGIN];
}
