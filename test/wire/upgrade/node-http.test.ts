import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";

/** The modules of Node that a thread has loaded after an import of this module. */
async function loadedBy(module: string): Promise<readonly string[]> {
  const code = `
    import { parentPort } from "node:worker_threads";
    await import(${JSON.stringify(module)});
    parentPort.postMessage(process.moduleLoadList);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  const [loaded] = await once(worker, "message");
  return loaded;
}

const UNDICI = "NativeModule internal/deps/undici/undici";

it.each(["index.ts", "board/shard/shard.ts", "server/hooks/http-call.ts"])(
  "a thread loads %s without undici",
  async (file) => {
    const loaded = await loadedBy(new URL(`../../../src/${file}`, import.meta.url).href);
    expect(loaded).toContain("NativeModule http");
    expect(loaded).not.toContain(UNDICI);
  },
);

it("a thread that imports node:http loads undici", async () => {
  expect(await loadedBy("node:http")).toContain(UNDICI);
});
