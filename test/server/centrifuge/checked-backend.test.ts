/** Answers of a program's functions that aren't answers. */
import { expect, it } from "vitest";
import { checkedBackend } from "../../../src/server/centrifuge/checked-backend.ts";

const question = {} as never;

it.each([
  [undefined, "backend.connect answered undefined, not an object with a kind"],
  [{ user: "42" }, 'backend.connect answered the kind undefined: it is "result", "error" or "disconnect"'],
  [{ kind: "result" }, "backend.connect answered without an object as result"],
  [{ kind: "result", result: {} }, 'backend.connect answered a result without a user: "" is an anonymous client'],
  [{ kind: "result", result: { user: 42 } }, "backend.connect answered a result whose user isn't a string"],
  [{ kind: "result", result: { user: "", data: "{}" } }, "backend.connect answered a result whose data isn't a Buffer"],
  [{ kind: "error", code: 3, message: "x" }, "backend.connect answered the error code 3: 400 to 1999 are yours"],
  [{ kind: "error", code: 400 }, "backend.connect answered an error without a message"],
  [
    { kind: "disconnect", code: "4000", reason: "" },
    'backend.connect answered the close code "4000": 4000 to 4999 are yours',
  ],
  [
    { kind: "disconnect", code: 1000, reason: "" },
    "backend.connect answered the close code 1000: 4000 to 4999 are yours",
  ],
])("refuses %j", async (answer, message) => {
  const backend = checkedBackend({ connect: () => Promise.resolve(answer as never) });
  await expect(backend.connect?.(question)).rejects.toThrow(new TypeError(message));
});

it("keeps what the functions see as this, and those that are missing", async () => {
  class Application {
    user = "42";
    async connect() {
      return { kind: "result" as const, result: { user: this.user } };
    }
  }
  const backend = checkedBackend(new Application());
  expect(await backend.connect?.(question)).toEqual({ kind: "result", result: { user: "42" } });
  expect(backend.rpc).toBeUndefined();
});
