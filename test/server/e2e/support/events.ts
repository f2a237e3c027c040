/** Waits for events of the official client and of its subscriptions. */
import type { Centrifuge, ClientEvents, Subscription, SubscriptionEvents } from "centrifuge";

/** What the events of clients and of subscriptions tell, by their names. */
type ClientContext<Name extends keyof ClientEvents> = Parameters<ClientEvents[Name]>[0];
type SubscriptionContext<Name extends keyof SubscriptionEvents> = Parameters<SubscriptionEvents[Name]>[0];

interface Emitter {
  on(name: string, listener: (context: unknown) => void): unknown;
  off(name: string, listener: (context: unknown) => void): unknown;
}

/** Resolves with the next event of this name. */
export function next<Name extends keyof SubscriptionEvents>(
  emitter: Subscription,
  name: Name,
): Promise<SubscriptionContext<Name>>;
export function next<Name extends keyof ClientEvents>(emitter: Centrifuge, name: Name): Promise<ClientContext<Name>>;
export async function next(emitter: unknown, name: string): Promise<unknown> {
  const [first] = await taken(emitter as Emitter, name, 1);
  return first;
}

/** Resolves with the next `count` events of this name. */
export function take<Name extends keyof SubscriptionEvents>(
  emitter: Subscription,
  name: Name,
  count: number,
): Promise<SubscriptionContext<Name>[]>;
export function take<Name extends keyof ClientEvents>(
  emitter: Centrifuge,
  name: Name,
  count: number,
): Promise<ClientContext<Name>[]>;
export function take(emitter: unknown, name: string, count: number): Promise<unknown[]> {
  return taken(emitter as Emitter, name, count);
}

function taken(emitter: Emitter, name: string, count: number): Promise<unknown[]> {
  const contexts: unknown[] = [];
  return new Promise((resolve) => {
    const listener = (context: unknown): void => {
      contexts.push(context);
      if (contexts.length < count) return;
      emitter.off(name, listener);
      resolve(contexts);
    };
    emitter.on(name, listener);
  });
}
