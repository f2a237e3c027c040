import type { ActorScopes } from "../../runtime/actor/actor-scopes.ts";

/**
 * Rejections of promises that nobody waits for: somebody made them and didn't await them. They end no shard. Those that an actor made are its
 * failures; the others, of what the actor module began when it was loaded, are left to `unknown`.
 */
export function catchDetached(scopes: ActorScopes, unknown: (error: unknown) => void): () => void {
  const listener = (error: unknown): void => {
    if (!scopes.blame(error)) unknown(error);
  };
  process.on("unhandledRejection", listener);
  return () => void process.off("unhandledRejection", listener);
}
