import { expect, it } from "vitest";
import { TURN_BUDGET } from "../../src/runtime/scheduling/fair-scheduler.ts";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const FLOOD = 50_000;

it.each([["moved"], ["relayed"]])(
  "a %s connection that floods its actor doesn't delay other connections",
  async (way) => {
    const { port } = await startBoard({ actor: "spinning", sockets: way === "moved" ? "auto" : "relay" });
    const [flooder, other] = [await RawClient.open({ port }), await RawClient.open({ port })];
    flooder.write(Buffer.concat(Array.from({ length: FLOOD }, () => text("f"))));
    const probe = async (): Promise<{ handled: number; mostInATurn: number }> => {
      other.write(text("probe"));
      return JSON.parse(await other.text());
    };

    for (let handled = 0, mostInATurn = 0; handled < FLOOD; ) {
      ({ handled, mostInATurn } = await probe());
      // One budget applies when bytes are read, the other when connections take turns.
      expect(mostInATurn).toBeLessThanOrEqual(2 * TURN_BUDGET);
    }
  },
);
