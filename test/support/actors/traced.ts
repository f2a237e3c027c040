import { channel, subscribe, tracingChannel } from "node:diagnostics_channel";
import {
  Actor,
  type ConnectionDiagnostics,
  type HandlerTrace,
  type Message,
  type UpgradeDiagnostics,
} from "../../../src/index.ts";

/** Everything that the diagnostics channels of this shard published, in words. */
const published: string[] = [];

const of = (actor: string | undefined): string => (actor === undefined ? "" : ` of ${actor}`);

tracingChannel<HandlerTrace, HandlerTrace>("switchboard.handler").subscribe({
  start: ({ handler, actor }) => published.push(`${handler} start${of(actor)}`),
  end: ({ handler }) => published.push(`${handler} end`),
  asyncStart: ({ handler }) => published.push(`${handler} asyncStart`),
  asyncEnd: ({ handler, result }) => published.push(`${handler} asyncEnd ${result ?? ""}`),
  error: ({ handler, error }) => published.push(`${handler} error ${(error as Error).message}`),
});
subscribe("switchboard:connection:opened", (message) => {
  const { address, actor } = message as ConnectionDiagnostics;
  published.push(`opened ${address}${of(actor)}`);
});
subscribe("switchboard:connection:closed", (message) => {
  const { code, reason, actor } = message as ConnectionDiagnostics;
  published.push(`closed ${code} ${reason}${of(actor)}`);
});
subscribe("switchboard:upgrade", (message) => {
  const { request, outcome, status } = message as UpgradeDiagnostics;
  published.push(`upgrade ${request?.headers.host} ${outcome} ${status ?? ""}`);
});

/** Sends the collected words, and forgets them. Fails on demand. */
export default class Traced extends Actor {
  static override readonly supervision = { strategy: "resume" } as const;

  override async received({ text }: Message): Promise<void> {
    await Promise.resolve();
    if (text === "fail") throw new Error("on demand");
    this.send(
      JSON.stringify({ published: published.splice(0), isActive: channel("switchboard:upgrade").hasSubscribers }),
    );
  }
}
