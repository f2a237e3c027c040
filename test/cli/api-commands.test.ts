/** The commands that ask a server, against an HTTP server that answers as the API does. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { switchboardIn } from "./program.ts";

const KEY = "0123456789abcdef";
const env = { SWITCHBOARD_HTTP_API_KEY: KEY };

/** Starts an HTTP server. Resolves with its port. */
async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Serves one answer to all, or what a function gives. Resolves with the URL, and with the list of requests. */
async function answering(answer: unknown, status = 200) {
  const requests: unknown[] = [];
  const port = await serve(async (request, response) => {
    const { method, url, headers } = request;
    requests.push({ method, url, key: headers["x-api-key"], body: JSON.parse(await text(request)) });
    const body = typeof answer === "function" ? answer() : answer;
    response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  return { port, url: `http://127.0.0.1:${port}`, requests };
}

it("publishes JSON, and tells the position", async () => {
  const { url, requests } = await answering({ result: { offset: 5, epoch: "abc" } });
  const program = switchboardIn({ env }, "publish", "news", '{"text":"hello"}', "--url", url);
  expect(await program.exit).toEqual({
    code: 0,
    signal: null,
    stdout: "published with offset 5 of epoch abc\n",
    stderr: "",
  });
  expect(requests).toEqual([
    { method: "POST", url: "/api/publish", key: KEY, body: { channel: "news", data: { text: "hello" } } },
  ]);
});

it("publishes to a channel without history", async () => {
  const { url } = await answering({ result: { offset: 0, epoch: "" } });
  const { stdout } = await switchboardIn({ env }, "publish", "news", "1", "--url", url).exit;
  expect(stdout).toBe("published\n");
});

it("lists channels, sorted and without control characters", async () => {
  const channels = { "b\u001b[2J": { num_clients: 12 }, a: { num_clients: 3 } };
  const { url, requests } = await answering({ result: { channels } });
  const { stdout } = await switchboardIn({ env }, "channels", "*", "--url", url).exit;
  expect(stdout).toBe("channel     clients\na           3\nb\\u001b[2J  12\n");
  expect(requests).toMatchObject([{ url: "/api/channels", body: { pattern: "*" } }]);
});

it("lists the connections of a user, page by page", async () => {
  const pages = [
    { c1: { user: "42", transport: "websocket", state: { channels: { a: {}, b: {} } } } },
    { c2: { user: "42", transport: "sse", state: { channels: {} } } },
  ];
  const { url, requests } = await answering(() => {
    const [page] = pages.splice(0, 1);
    return { result: { connections: page, ...(pages.length > 0 ? { cursor: "c1" } : {}) } };
  });
  const { stdout, stderr } = await switchboardIn({ env }, "connections", "--user", "42", "--url", url).exit;
  expect({ stdout, stderr }).toEqual({
    stdout: "client  user  transport  channels\nc1      42    websocket  a b\nc2      42    sse\n",
    stderr: "",
  });
  expect(requests).toMatchObject([
    { url: "/api/connections", body: { user: "42", limit: 1000 } },
    { url: "/api/connections", body: { user: "42", limit: 1000, cursor: "c1" } },
  ]);
});

it("says when there are more channels than it shows", async () => {
  const { url } = await answering({ result: { channels: { a: { num_clients: 1 } }, is_cut: true } });
  expect(await switchboardIn({ env }, "channels", "--url", url).exit).toMatchObject({
    code: 0,
    stdout: "channel  clients\na        1\n",
    stderr: "switchboard: there are more than these\n",
  });
});

it("shows the nodes, also as JSON", async () => {
  const { url } = await answering({ result: { nodes: [{ uid: "n1", num_clients: 7 }] } });
  expect((await switchboardIn({ env }, "info", "--url", url).exit).stdout).toBe("uid  num_clients\nn1   7\n");
  const json = await switchboardIn({ env }, "info", "--url", url, "--json").exit;
  expect(JSON.parse(json.stdout)).toEqual({ nodes: [{ uid: "n1", num_clients: 7 }] });
});

it("takes address, path and key from the config, and a key of a flag rather than that", async () => {
  const { port, requests } = await answering({ result: {} });
  const folder = await mkdtemp(join(tmpdir(), "switchboard-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const config = join(folder, "config.json");
  const http_server = { port: 1, internal_port: port, internal_address: "127.0.0.1" };
  await writeFile(config, JSON.stringify({ http_server, http_api: { key: KEY, handler_prefix: "/my/api" } }));
  expect(await switchboardIn({}, "channels", "--config", config).exit).toMatchObject({
    code: 0,
    stdout: "no channel has a subscriber\n",
  });
  await switchboardIn({}, "channels", "--config", config, "--key", "other").exit;
  expect(requests).toMatchObject([
    { url: "/my/api/channels", key: KEY },
    { url: "/my/api/channels", key: "other" },
  ]);
});

it.each([
  [
    401,
    "",
    {},
    "the server wants a key: give it with --config, with the variable SWITCHBOARD_HTTP_API_KEY, or with --key",
  ],
  [401, "", env, "the server refuses the key: it has another http_api.key"],
  [403, "", env, "URL/api answers requests from its own machine only: see http_api.loopback_only"],
  [404, "", env, "there is no API at URL/api: check --url, http_api.handler_prefix and http_api.disabled"],
  [500, "", env, "URL/api answered with status 500"],
  [200, "<html>", env, "URL/api answered with something that isn't JSON: is it the API of switchboard serve?"],
  [200, "5", env, "URL/api answered with neither a result nor an error: is it the API of switchboard serve?"],
  [
    200,
    { error: { code: 102, message: "unknown channel" } },
    env,
    "the server answered with error 102: unknown channel",
  ],
  [404, { code: 102, message: "unknown channel" }, env, "the server answered with error 102: unknown channel"],
  [413, { error: { code: 107, message: "too long" } }, env, "the server answered with error 107: too long"],
  [401, { error: { code: 101, message: "no" } }, env, "the server refuses the key: it has another http_api.key"],
])("explains the answer %i %j", async (status, body, variables, sentence) => {
  const { url } = await answering(body, status);
  const { code, stdout, stderr } = await switchboardIn({ env: variables }, "info", "--url", url).exit;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toBe(`switchboard: ${sentence.replace("URL", url)}\n`);
});

it("explains that nothing listens, and that an answer is cut off", async () => {
  const port = await serve((request) => request.socket.destroy());
  const cut = await switchboardIn({ env }, "info", "--url", `http://127.0.0.1:${port}`).exit;
  expect(cut).toMatchObject({ code: 1, stderr: expect.stringMatching(/^switchboard: can't reach http:.+: .+\n$/) });
  const free = createServer();
  free.listen(0, "127.0.0.1");
  await once(free, "listening");
  const url = `http://127.0.0.1:${(free.address() as AddressInfo).port}`;
  free.close();
  await once(free, "close");
  expect(await switchboardIn({ env }, "info", "--url", url).exit).toMatchObject({
    code: 1,
    stderr: `switchboard: nothing listens at ${url}: start the server with switchboard serve, or give its address with --url\n`,
  });
});

it.each([
  [["publish", "news"], `publish takes a channel and JSON, such as publish news '{"text":"hello"}'`],
  [["publish", "news", "hello"], `publish takes JSON; for text, write '"hello"'`],
  [["publish", "news", "1", "2"], "publish takes no 2; switchboard publish --help says more"],
  [["info", "--user", "42"], "info has no flag --user"],
  [
    ["channels", "--url", "localhost:8000"],
    "--url takes an http: or https: URL such as http://127.0.0.1:8000, not localhost:8000",
  ],
])("refuses %j", async (args, sentence) => {
  const program = switchboardIn({ env }, ...args);
  expect(await program.exit).toMatchObject({ code: 2, stdout: "", stderr: `switchboard: ${sentence}\n` });
});
