import { expect, it } from "vitest";
import { packMail } from "../../../../src/runtime/mail/packed-mail.ts";
import { DEFAULT_CHANNEL_OPTIONS } from "../../../../src/server/channels/channel-options.ts";
import { Channels } from "../../../../src/server/channels/channels.ts";
import { ClientRegistry } from "../../../../src/server/client/client-registry.ts";
import { answerControl } from "../../../../src/server/client/control/control-answers.ts";

it("cuts channels at the limit, and at what may go to another node", async () => {
  const registryOf = (count: number, length: number) => {
    const names = Array.from({ length: count }, (_, i) => `${i}`.padEnd(length, "x"));
    const registry = new ClientRegistry({ occupied: () => {}, vacated: () => {} });
    for (const name of names) registry.subscribed(name);
    return registry;
  };
  const channels = new Channels({
    withoutNamespace: DEFAULT_CHANNEL_OPTIONS,
    namespaces: [],
    maxLength: 255,
    historyMaxPublicationLimit: 0,
    recoveryMaxPublicationLimit: 0,
  });
  const ask = (registry: ClientRegistry, limit: number) =>
    answerControl({ registry, channels }, { kind: "channels", pattern: "", limit });
  expect(await ask(registryOf(3, 5), 3)).toMatchObject({ isCut: false, channels: { length: 3 } });
  expect(await ask(registryOf(4, 5), 3)).toMatchObject({ isCut: true, channels: { length: 3 } });
  const large = await ask(registryOf(10_000, 255), 10_000);
  expect(large).toMatchObject({ isCut: true });
  expect(() => packMail(large)).not.toThrow();
});
