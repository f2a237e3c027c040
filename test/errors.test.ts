import { describe, expect, it } from "vitest";
import { type ErrorReport, reportError, reviveError, SwitchboardError } from "../src/errors.ts";

describe("SwitchboardError", () => {
  it("is an Error with a kind, a code, a message and a cause", () => {
    const cause = new Error("below");
    const error = new SwitchboardError("ERR_TOPIC", "a topic is a string", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "SwitchboardError",
      kind: "misuse",
      code: "ERR_TOPIC",
      message: "a topic is a string",
      cause,
    });
    expect(error.stack).toContain("errors.test.ts");
  });

  it("has no cause unless it is given one", () => {
    expect("cause" in new SwitchboardError("ERR_CLOSED", "closed")).toBe(false);
  });
});

/** Sends the error to another thread and back. */
function cross(report: ErrorReport): Error {
  return reviveError(structuredClone(report));
}

class RoomError extends Error {
  override readonly name = "RoomError";
}

describe("an error that crosses threads", () => {
  it.each([
    ["an Error", new Error("plain")],
    ["a TypeError", new TypeError("wrong type")],
    ["an error of the user's own class", new RoomError("full")],
    ["a SwitchboardError", new SwitchboardError("ERR_ASK_FULL", "full")],
    ["an error of Node's own with a code", Object.assign(new Error("no file"), { code: "ENOENT" })],
    ["an error without a message", new Error()],
  ])("keeps name, message, code and stack: %s", (_name, error) => {
    const revived = cross(reportError(error));
    expect(revived).toBeInstanceOf(Error);
    expect(revived.name).toBe(error.name);
    expect(revived.message).toBe(error.message);
    expect(revived.stack).toBe(error.stack);
    expect("code" in revived ? revived.code : undefined).toBe("code" in error ? error.code : undefined);
  });

  it("is a SwitchboardError again if it was one, and only then", () => {
    const revived = cross(reportError(new SwitchboardError("ERR_NO_URING", "no ring")));
    expect(revived).toBeInstanceOf(SwitchboardError);
    expect(revived).toMatchObject({ kind: "configuration", code: "ERR_NO_URING" });
    expect(cross(reportError(Object.assign(new Error("theirs"), { code: "ERR_CLOSED" })))).not.toBeInstanceOf(
      SwitchboardError,
    );
    const newer = { ...reportError(revived), code: "ERR_OF_A_LATER_VERSION" };
    expect(cross(newer)).toMatchObject({ name: "SwitchboardError", code: "ERR_OF_A_LATER_VERSION" });
    expect(cross({ ...newer, code: "toString" })).not.toBeInstanceOf(SwitchboardError);
  });

  it("has no code when it had none, or none that is a string", () => {
    expect("code" in cross(reportError(new Error("plain")))).toBe(false);
    expect("code" in cross(reportError(Object.assign(new Error("old"), { code: 42 })))).toBe(false);
  });

  it("keeps the causes of errors of ours", () => {
    const below = new TypeError("below");
    const cause = new SwitchboardError("ERR_STATE_NOT_CLONEABLE", "between", { cause: below });
    const revived = cross(reportError(new SwitchboardError("ERR_MOVE_FAILED", "above", { cause })));
    expect(revived.cause).toMatchObject({ code: "ERR_STATE_NOT_CLONEABLE", message: "between", stack: cause.stack });
    expect((revived.cause as Error).cause).toMatchObject({ name: "TypeError", message: "below", stack: below.stack });
    expect("cause" in cross(reportError(new SwitchboardError("ERR_CLOSED", "closed")))).toBe(false);
  });

  it("may have no stack", () => {
    const error = new Error("bare");
    delete error.stack;
    expect(reportError(error).stack).toBeUndefined();
    expect(cross(reportError(error)).message).toBe("bare");
  });
});

describe("a thrown value that isn't an Error", () => {
  const hostile = {
    toString(): string {
      throw new Error("can't be shown");
    },
  };
  it.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "oops"],
    ["a number", 42],
    ["a symbol", Symbol("oops")],
    ["an object", { code: "E" }],
    ["a function", () => {}],
    ["an object without a prototype", Object.create(null)],
    ["an object that can't be shown", hostile],
  ])("is reported as an Error that says so: %s", (_name, thrown) => {
    const revived = cross(reportError(thrown));
    expect(revived.name).toBe("Error");
    expect(revived.message).toContain("isn't an Error was thrown");
  });

  it("is quoted in the message", () => {
    expect(reportError("oops").message).toContain("oops");
    expect(reportError(42).message).toContain("42");
  });
});

describe("an error with odd fields", () => {
  const throwing = Object.defineProperty(new Error("hidden"), "message", {
    get() {
      throw new Error("can't be read");
    },
  });
  it.each([
    ["a name that is a symbol", Object.assign(new Error("a"), { name: Symbol("odd") })],
    ["a message that can't be cloned", Object.assign(new Error("a"), { message: () => {} })],
    ["a stack that can't be cloned", Object.assign(new Error("a"), { stack: [() => {}] })],
    ["a message that can't be read", throwing],
  ])("is reported all the same, as strings that can be cloned: %s", (_name, thrown) => {
    const { name, message, stack, code } = structuredClone(reportError(thrown));
    expect([typeof name, typeof message, typeof (stack ?? ""), typeof (code ?? "")]).toEqual(Array(4).fill("string"));
  });
});
