/** Rejected promises in a shard that nothing awaits. */
import type { ActorScopes } from "../../runtime/actor/actor-scopes.ts";

/**
 * Listens for rejected promises that nothing awaits. They end no shard. A promise of an actor is a failure of that
 * actor; other promises, of work that the actor module started, go to `unknown`. Returns a function that stops.
 */
export function catchDetached(scopes: ActorScopes, unknown: (error: unknown) => void): () => void {
  const listener = (error: unknown): void => {
    if (!scopes.blame(error)) unknown(error);
  };
  process.on("unhandledRejection", listener);
  return () => void process.off("unhandledRejection", listener);
}
