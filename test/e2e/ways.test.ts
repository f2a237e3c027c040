import type { IncomingMessage } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { type AttachOptions, type Params, Switchboard, type Verdict } from "../../src/index.ts";
import { actorUrl } from "../support/actor-url.ts";
import { authorize } from "../support/actors/authorizing.ts";
import { text } from "../support/frames.ts";
import { type Way, ways } from "../support/ways.ts";

/** The same `authorize` in every way: as an option, or as the actor module's export. */
function authorizing({ thread }: Way): AttachOptions {
  return thread === "shard"
    ? {}
    : { authorize: (request: IncomingMessage, params: Params) => authorize(request, params) };
}

const gives = (verdict: object): Record<string, string> => ({ "x-authorize": JSON.stringify({ gives: verdict }) });

const INVALID_VERDICTS: readonly object[] = [
  { session: { user: "ada" }, status: 401 },
  { session: undefined, status: undefined, body: "no" },
  { session: 1, headers: { Upgrade: "h2c" } },
  { session: 1, headers: { "x-a": "b\r\nx-c: d" } },
  { status: 204 },
];

describe.each(ways)("$name", (way) => {
  const { start, accepted } = way;

  it("accepts only pages of the listed origins, also of subdomains and apps", async () => {
    const origins = ["https://example.com", "https://*.example.com", "capacitor://localhost", "null"];
    const { board, ask } = await start({ attach: { origins } });
    const good = [undefined, "https://example.com", "https://a.b.EXAMPLE.com", "capacitor://localhost", "null"];
    for (const origin of good) {
      const { status, write, text: next } = await ask("/", { origin });
      expect({ origin, status }).toEqual({ origin, status: accepted });
      write(text("in"));
      expect(await next()).toBe("in");
    }
    const bad = [
      "https://evilexample.com",
      "https://example.com.evil.com",
      "https://a.example.com:8443",
      "tauri://localhost",
    ];
    for (const origin of bad)
      expect({ origin, ...(await ask("/", { origin })) }).toMatchObject({ origin, status: 403 });
    await vi.waitFor(() =>
      expect(board.stats().upgrades).toMatchObject({ accepted: good.length, refused: { 403: bad.length } }),
    );
  });

  it("accepts with the headers that authorize returns beside those of the handshake", async () => {
    const { ask } = await start({ actor: "authorizing", attach: { ...authorizing(way), protocols: ["v1"] } });
    const headers = { "Set-Cookie": ["a=1; HttpOnly", "b=2"], "X-Number": 7 };
    const given = { ...gives({ session: "s", headers }), "sec-websocket-protocol": "v1" };
    const { status, values, write, text: next } = await ask("/", given);
    expect(status).toBe(accepted);
    expect(values("set-cookie")).toEqual(["a=1; HttpOnly", "b=2"]);
    expect(values("x-number")).toEqual(["7"]);
    expect(values("sec-websocket-protocol")).toEqual(["v1"]);
    expect(values("upgrade")).toEqual(accepted === 101 ? ["websocket"] : []);
    write(text('{"do":"who"}'));
    expect(JSON.parse(await next())).toMatchObject({ session: "s", protocol: "v1" });
  });

  it("refuses with the headers that authorize returns", async () => {
    const { ask } = await start({ actor: "authorizing", attach: authorizing(way) });
    const { status, values } = await ask("/", gives({ status: 401, headers: { "Set-Cookie": ["a=", "b="] } }));
    expect(status).toBe(401);
    expect(values("set-cookie")).toEqual(["a=", "b="]);
  });

  it("answers 500 to each invalid verdict of authorize, and reports it", async () => {
    const { board, ask } = await start({ actor: "authorizing", attach: authorizing(way) });
    const failed = vi.fn<(error: Error) => void>();
    board.on("handshakeFailed", failed);
    for (const [index, verdict] of INVALID_VERDICTS.entries()) {
      const { status, values } = await ask("/", gives(verdict));
      expect({ verdict, status, injected: values("x-c") }).toEqual({ verdict, status: 500, injected: [] });
      await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(index + 1));
      expect(failed.mock.lastCall?.[0]).toMatchObject({ code: "ERR_AUTHORIZE" });
    }
    const refused = { 500: INVALID_VERDICTS.length };
    expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, refused } });
  });

  it("shows the actor its request: url, query, the requested headers, and the client's address", async () => {
    const { ask } = await start({ actor: "requesting" });
    const path = "/chat/blue?token=a%20b&tag=1&tag=2";
    const {
      status,
      write,
      text: next,
    } = await ask(path, { "user-agent": "a test, of sorts", authorization: "secret" });
    expect(status).toBe(accepted);
    write(text("?"));
    expect(JSON.parse(await next())).toEqual({
      url: path,
      query: [
        ["token", "a b"],
        ["tag", "1"],
        ["tag", "2"],
      ],
      headers: { "user-agent": "a test, of sorts" },
      remoteAddress: "127.0.0.1",
      clientAddress: "127.0.0.1",
    });
  });

  it("shows the actor the address of the client behind a trusted proxy", async () => {
    const { ask } = await start({ actor: "requesting", trustedProxies: ["127.0.0.0/8", "192.0.2.0/24"] });
    const headers = { "x-forwarded-for": "198.51.100.7, 192.0.2.1", cookie: "id=7" };
    const { write, text: next } = await ask("/", headers);
    write(text("?"));
    expect(JSON.parse(await next())).toEqual({
      ...{ url: "/", query: [], headers: { cookie: "id=7" } },
      ...{ remoteAddress: "127.0.0.1", clientAddress: "198.51.100.7" },
    });
  });

  it("ignores the headers of a proxy that isn't trusted", async () => {
    const { ask } = await start({ actor: "requesting" });
    const { write, text: next } = await ask("/", { "x-forwarded-for": "198.51.100.7" });
    write(text("?"));
    expect(JSON.parse(await next())).toMatchObject({ clientAddress: "127.0.0.1" });
  });
});

describe.each(ways.filter(({ thread }) => thread === "main"))(
  "$name, with a function as origins",
  ({ start, accepted }) => {
    it("calls the function only for pages, with the request", async () => {
      const asked: unknown[] = [];
      const origins = (origin: string, { url, headers }: IncomingMessage): boolean => {
        asked.push([origin, url, headers["x-a"]]);
        return origin === "https://good.example";
      };
      const { ask } = await start({ attach: { origins } });
      expect((await ask("/?a", { origin: "https://good.example", "x-a": "1" })).status).toBe(accepted);
      expect((await ask("/", { origin: "https://evil.example" })).status).toBe(403);
      expect((await ask("/")).status).toBe(accepted);
      expect(asked).toEqual([
        ["https://good.example", "/?a", "1"],
        ["https://evil.example", "/", undefined],
      ]);
    });

    it.each<{ name: string; origins: () => unknown; error: object }>([
      {
        name: "throws",
        origins: () => {
          throw new TypeError("no table");
        },
        error: { name: "TypeError", message: "no table" },
      },
      { name: "returns a promise of true", origins: async () => true, error: { code: "ERR_ORIGINS" } },
    ])("answers 500 and reports it when the function $name", async ({ origins, error }) => {
      const { board, ask } = await start({ attach: { origins: origins as () => boolean } });
      const failed = vi.fn<(error: Error) => void>();
      board.on("handshakeFailed", failed);
      expect((await ask("/", { origin: "https://good.example" })).status).toBe(500);
      expect(failed.mock.calls).toEqual([[expect.objectContaining(error)]]);
      expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, refused: { 500: 1 } } });
    });
  },
);

it("rejects start when the actor class asks for headers that can't exist", async () => {
  const starting = Switchboard.start({ actor: actorUrl("misrequesting"), shards: 1 });
  await expect(starting).rejects.toMatchObject({
    code: "ERR_REQUEST_HEADERS",
    message: expect.stringContaining('got "user agent"'),
  });
});

it("accepts every valid result of a typed authorize, and no ambiguous one", () => {
  const verdicts: Verdict<{ user: string }>[] = [
    { session: { user: "ada" } },
    { session: { user: "ada" }, headers: { "Set-Cookie": ["a=1"] } },
    { status: 401 },
    { status: 401, headers: { "Retry-After": 5 }, body: "no" },
    // @ts-expect-error: ambiguous: both an admission and a refusal
    { session: { user: "ada" }, status: 401 },
    // @ts-expect-error: an admission has no body
    { session: { user: "ada" }, body: "no" },
    // @ts-expect-error: a session of another type
    { session: { name: "ada" } },
  ];
  expect(verdicts).toHaveLength(7);
});
