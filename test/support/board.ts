import { onTestFinished } from "vitest";
import { type ListenOptions, type StartOptions, Switchboard } from "../../src/index.ts";
import { actorUrl } from "./actor-url.ts";

export { actorUrl };

export type TestBoardOptions = Omit<StartOptions, "actor"> & {
  readonly actor?: string | URL;
  readonly attach?: Partial<ListenOptions>;
};

/**
 * A board of one shard (unless told otherwise) that listens on a free port and is closed when the test ends. Handshakes are done in the main
 * thread, where that can be and nothing else is said: with all that there is to it.
 */
export async function startBoard(options: TestBoardOptions = {}): Promise<{ board: Switchboard; port: number }> {
  const { actor = "echo", attach = {}, ...rest } = options;
  const url = actor instanceof URL ? actor : actorUrl(actor);
  const board = await Switchboard.start({
    actor: url,
    shards: 1,
    // A test machine may be overloaded whenever it likes.
    maxEventLoopDelayMs: 60_000,
    ...rest,
  });
  onTestFinished(async () => {
    await board.close({ timeoutMs: 0 });
  });
  const handshake = attach.tls === undefined && attach.accept !== "shard" ? { handshake: "main" as const } : {};
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", ...handshake, ...attach });
  return { board, port };
}
