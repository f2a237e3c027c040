/** Clients call methods that the application answers, or nobody. */
import { describe, expect, it } from "vitest";
import { startApplication } from "../hooks/support/application.ts";
import { INSECURE, startTestServer } from "../support/server.ts";
import { codecs, ways } from "./support/clients.ts";
import { SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer();

describe.each(ways)("a call, $name,", (way) => {
  it("that nobody answers is refused with 108, also if it waited for the connection", async () => {
    const client = way.create(shared.url);
    const answer = client.rpc("method", way.data({ my: "data" }));
    client.connect();
    await expect(answer).rejects.toMatchObject({ code: 108, message: "not available" });
  });
});

describe.each(codecs)("the application, $format,", (way) => {
  it("answers a call with data, an error or a disconnect", async () => {
    const application = await startApplication((response, { text }) => {
      const { method, data, user } = JSON.parse(text);
      const answers: Record<string, object> = {
        echo: { result: { data: { method, data, user } } },
        fail: { error: { code: 1000, message: "no such order" } },
        leave: { disconnect: { code: 4501, reason: "banned" } },
      };
      response.setHeader("content-type", "application/json").end(JSON.stringify(answers[method]));
    });
    const { url } = await startTestServer({
      ...INSECURE,
      rpc: { proxy: { endpoint: application.url, timeout: "60s" }, without_namespace: { proxy_enabled: true } },
    });
    const client = await way.connect(url);
    const { data } = await client.rpc("echo", way.data([1, "ü"]));
    expect(way.value(data)).toEqual({ method: "echo", data: [1, "ü"], user: "" });
    await expect(client.rpc("fail", way.data(null))).rejects.toMatchObject({ code: 1000, message: "no such order" });
    const disconnected = new Promise((resolve) => client.once("disconnected", resolve));
    client.rpc("leave", way.data(null)).catch(() => {});
    expect(await disconnected).toEqual({ code: 4501, reason: "banned" });
  });
});
