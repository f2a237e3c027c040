/** Moves between shards in which something goes wrong. `npm run faults` makes a table of them. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { newFolder } from "../cli/run/supervise.ts";
import { actorUrl } from "../support/actor-url.ts";
import { startBoard } from "../support/board.ts";
import { Crowd } from "./moving/crowd.ts";
import { isLong } from "./rows.ts";

const NOTHING_LOST = { lost: 0, wrong: [] };

describe.runIf(isLong)("moves between shards", () => {
  it("while the shard that they go to ends", async () => {
    // The module of both: `Counting`, whose thread ends on request.
    const file = join(newFolder(), "ending.ts");
    writeFileSync(
      file,
      `import Counting from ${JSON.stringify(String(actorUrl("counting")))};
      let shard = -1;
      export default class Ending extends Counting {
        opened() { shard = this.shard; }
        resumed(state) { shard = this.shard; super.resumed(state); }
      }
      export function surveyed() { if (shard === 1) setImmediate(() => process.exit(1)); }`,
    );
    const { board, port } = await startBoard({ actor: pathToFileURL(file), shards: 3 });
    board.on("shardLost", () => {});
    board.on("moveFailed", () => {});
    const crowd = await Crowd.join(port);
    const replaced = once(board as never, "shardReplaced");
    board.once("moved", () => void board.survey("end").catch(() => {}));
    await board.evacuate(0);
    await replaced;
    await crowd.goesOn();
    const result =
      "its own third ends with it, and what had arrived there; all others go on; a new thread takes its place";
    const { lost, wrong } = await crowd.end("one of two shards ends to which a third evacuates", result);
    expect(wrong).toEqual([]);
    expect(lost).toBeGreaterThanOrEqual(Math.floor(crowd.size / 3));
    expect(lost).toBeLessThan(crowd.size * 0.75);
  });

  it("to code that can't be loaded", async () => {
    const { board, port } = await startBoard({ actor: "counting", shards: 2 });
    const crowd = await Crowd.join(port);
    const file = join(newFolder(), "broken.ts");
    writeFileSync(file, "export default class { constructor( }");
    const failed = await board.reload({ actor: pathToFileURL(file) }).catch((error: Error) => error);
    expect(failed).toBeInstanceOf(Error);
    await crowd.goesOn();
    const { moved, closed } = await board.reload();
    expect({ moved, closed }).toEqual({ moved: crowd.size, closed: 0 });
    await crowd.goesOn();
    const result = "`reload` rejects with the module's error, and nothing has changed; the next reload works";
    expect(await crowd.end("`reload` with code that can't be loaded", result)).toEqual(NOTHING_LOST);
  });

  it("to and fro, under load", async () => {
    const { board, port } = await startBoard({ actor: "counting", shards: 2 });
    const crowd = await Crowd.join(port);
    let moves = 0;
    for (let round = 0; round < 10; round++) {
      moves += (await board.evacuate(round % 2)).moved;
      await crowd.goesOn();
    }
    const result = `${moves.toLocaleString("en")} moves, each within a message of half of the clients`;
    expect(await crowd.end("no fault: both shards evacuated in turns, ten times", result)).toEqual(NOTHING_LOST);
  });
});
