import { expect, it } from "vitest";
import { ApiCounts } from "../../../src/server/serve/api-counts.ts";
import { readReadme } from "../../support/readme.ts";
import { startApplication } from "../hooks/support/application.ts";
import { API_KEY, INSECURE, startTestServer } from "../support/server.ts";

it("counts commands of the API, notifications, and clients without WebSockets, beside the board's metrics", async () => {
  const application = await startApplication((response) => void response.end());
  const { url } = await startTestServer({
    ...INSECURE,
    prometheus: { enabled: true },
    hooks: { disconnect: { enabled: true, endpoint: application.url } },
  });
  const call = (method: string, fields: object) =>
    fetch(`${url}/api/${method}`, {
      method: "POST",
      headers: { "X-API-Key": API_KEY },
      body: JSON.stringify(fields),
    });
  await call("publish", { channel: "news", data: 1 });
  await call("publish", { channel: "news", data: 2 });
  await call("publish", { data: 3 });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  for (const line of [
    'switchboard_server_api_commands_total{method="publish",code="0"} 2',
    'switchboard_server_api_commands_total{method="publish",code="107"} 1',
    'switchboard_server_hook_events_dropped_total{hook="disconnect"} 0',
    "switchboard_server_emulation_streams 0",
    'switchboard_shard_ready{shard="0"} 1',
  ]) {
    expect(metrics.split("\n")).toContain(line);
  }
  const names = new Set(metrics.match(/(?<=# TYPE )switchboard_server_\w+/g));
  expect(new Set(readReadme("src/guides/serving.md").match(/(?<=`)switchboard_server_\w+/g))).toEqual(names);
});

it("counts methods that nobody knows together, once there are many", () => {
  const counts = new ApiCounts();
  for (let number = 0; number < 40; number++) counts.answered(`method${number}`, 104);
  counts.answered("method0", 0);
  const all = [...counts];
  expect(all).toHaveLength(34);
  expect(all).toContainEqual({ method: "other", code: 104, count: 8 });
  expect(all).toContainEqual({ method: "method0", code: 0, count: 1 });
});
