import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";

const SOURCES = new URL("../../../src/", import.meta.url).href;

/** Names of the modules of Node that a thread has loaded after this code. */
async function loadedBy(code: string): Promise<readonly string[]> {
  const source = `
    import { parentPort } from "node:worker_threads";
    ${code}
    parentPort.postMessage(process.moduleLoadList);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const [loaded] = (await once(worker, "message")) as [string[]];
  return loaded.map((name) => name.replace("NativeModule ", ""));
}

const UNDICI = "internal/deps/undici/undici";

it.each(["index.ts", "board/shard/shard.ts", "server/hooks/http-call.ts"])(
  "a thread that loads %s loads no module of Node that it needs later, or never",
  async (file) => {
    const loaded = await loadedBy(`await import("${SOURCES}${file}")`);
    const late = [UNDICI, "cluster", "crypto", "http", "http2", "https", "inspector", "tls", "zlib"];
    expect(late.filter((name) => loaded.includes(name))).toEqual([]);
  },
);

it("a thread that needs node:http loads it without undici", async () => {
  const loaded = await loadedBy(`
    const { builtins } = await import("${SOURCES}wire/node-internals/builtins.ts");
    if (builtins.http !== builtins.http || builtins.http.STATUS_CODES[404] !== "Not Found") throw new Error();`);
  expect(loaded).toContain("http");
  expect(loaded).not.toContain(UNDICI);
});

it("a thread that imports node:http loads undici", async () => {
  expect(await loadedBy(`await import("node:http")`)).toContain(UNDICI);
});
