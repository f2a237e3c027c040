/** The demo as a process, for tests of its page and its chat. */
import { onTestFinished } from "vitest";
import { projectFolder, RunningProgram } from "./process.ts";

export function launchDemo(port: number | string): RunningProgram {
  const demo = new RunningProgram(process.execPath, ["src/cli/main.ts", "demo"], {
    cwd: projectFolder,
    env: { ...process.env, PORT: String(port) },
  });
  onTestFinished(() => demo.destroy());
  return demo;
}

/** Starts the demo as users do. It ends with the test. */
export async function startDemo(port = 0): Promise<{ demo: RunningProgram; url: string; port: number }> {
  const demo = launchDemo(port);
  const [, used] = await demo.prints(/^The chat is at http:\/\/localhost:(\d+), with \d+ shards?\. .*\n/);
  return { demo, url: `http://127.0.0.1:${used}/`, port: Number(used) };
}
