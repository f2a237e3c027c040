import { describe, expect, it } from "vitest";
import { checkHandshake, type ServerHandshakeOptions } from "../../../src/wire/handshake/server.ts";
import { request } from "./requests.ts";

function offer(offered: string | undefined, options: ServerHandshakeOptions = {}) {
  return checkHandshake(request({ "sec-websocket-protocol": offered }), options);
}

describe("choosing a subprotocol", () => {
  it.each([
    ["a, b", ["b", "a"], "a"],
    ["b, a", ["a", "b"], "b"],
    ["x, b, a", ["a", "b"], "b"],
    ["a", ["a"], "a"],
    ["x, y", ["a", "b"], ""],
    ["A", ["a"], ""],
    ["a", [], ""],
    [undefined, ["a"], ""],
    [",a,,", ["a"], "a"],
    ["a\t,b", ["b"], "b"],
    ["v1.chat.example+json", ["v1.chat.example+json"], "v1.chat.example+json"],
  ])(
    "from %j by a server of %j gives %j: the client's first that the server supports",
    (offered, protocols, protocol) => {
      expect(offer(offered, { protocols })).toMatchObject({ ok: true, protocol });
    },
  );

  it("chooses none by default", () => {
    expect(offer("a, b")).toMatchObject({ ok: true, protocol: "" });
  });
});

describe("a malformed offer", () => {
  it.each(["", ",", " , ", "a b", "a, b c", "a;q=1", '"a"', "a/b", "a, a", "a, b, a", "é", "a, (b)", "\u00a0a"])(
    "%j is refused",
    (offered) => {
      expect(offer(offered, { protocols: ["a"] })).toMatchObject({ ok: false, status: 400 });
    },
  );
});

describe("many offers", () => {
  const offers = (count: number) => Array.from({ length: count }, (_, i) => `p${i}`).join(", ");

  it("are accepted up to 64", () => {
    expect(offer(offers(64), { protocols: ["p63"] })).toMatchObject({ ok: true, protocol: "p63" });
  });

  it.each([65, 10_000])("are refused when there are %i", (count) => {
    expect(offer(offers(count), { protocols: ["p0"] })).toMatchObject({ ok: false, status: 400 });
  });
});
