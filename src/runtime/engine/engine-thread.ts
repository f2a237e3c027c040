/** The main function of the engine thread. `workers/engine.ts` calls `runEngine`. */
import { type ErrorReport, reportError, SwitchboardError } from "../../errors.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { Pulse } from "../stats/pulse.ts";
import type { Engine } from "../streams/engine.ts";
import { TopicRules } from "../streams/topic-rules.ts";
import { EngineHost } from "./host/engine-host.ts";
import type { EngineOrder, EngineReport, EngineTask } from "./messages.ts";

/**
 * Runs an engine in this thread until the main thread stops it. Returns a report of the error if the engine couldn't
 * start: an error that is thrown across threads would lose its name and code.
 */
export async function runEngine(task: EngineTask): Promise<ErrorReport | undefined> {
  const { control } = task;
  // The pulse starts first: loading the engine's module may already block the thread.
  const pulse = task.pulse && new Pulse(task.pulse).start();
  const host = Promise.withResolvers<EngineHost>();
  const stopped = Promise.withResolvers<void>();
  control.on("message", (order: EngineOrder) => {
    if (order.kind === "stop") stopped.resolve();
    // Clients of an engine that can't start see their ports close with the thread.
    else void host.promise.then((started) => started.addClient(order.port, order.isMain));
  });
  // The main thread has gone: no client is left to serve.
  control.on("close", () => stopped.resolve());
  try {
    // The engine may never answer; the thread still stops.
    const started = await Promise.race([start(task), stopped.promise]);
    if (started === undefined) return undefined;
    host.resolve(started);
    const report: EngineReport = { kind: "ready", isShared: started.engine.isShared };
    control.postMessage(report);
    await stopped.promise;
    await started.stop();
  } catch (error) {
    return reportError(error);
  } finally {
    clearInterval(pulse);
    control.close();
  }
  return undefined;
}

async function start({ module, options, node, rules }: EngineTask): Promise<EngineHost> {
  const engine = await load(module, options, node);
  const host = new EngineHost(engine, node, new TopicRules(rules));
  try {
    await engine.start(host.engineOwner);
  } catch (error) {
    // The thread may run the next engine: nothing of this one is left behind.
    await host.stop().catch(noop);
    throw error;
  }
  return host;
}

async function load(module: string, options: unknown, node: string): Promise<Engine> {
  const { default: create }: { default?: unknown } = await import(module);
  if (typeof create === "function") return create(options, node);
  const message = `the module of an engine exports a function as its default, ${module} exports ${typeof create}`;
  throw new SwitchboardError("ERR_OPTION", message);
}
